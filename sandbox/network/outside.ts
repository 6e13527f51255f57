/** For the outside client, which runs in a process of the sandbox and therefore can't be put at its place as a whole. */
import * as fs from 'node:fs';
import * as tls from 'node:tls';
import { Agent, buildConnector } from 'undici';
import { authorityFile } from '../authority';
import { Names } from './names';
import { routeTo, type Standpoint } from './route';
import { outsideStandpoint } from './standpoints';

export { resolve } from './names';

/**
 * @returns an agent for `fetch` and `request` that sees the world from `from`: names by its resolver, canonical ports,
 * its source address; it trusts the sandbox's authority besides the public ones.
 */
export function agentFor(from: Standpoint, options: Omit<Agent.Options, 'connect'> = {}): Agent {
  const names = new Names(from.resolver, from.address);
  const connect = buildConnector({
    ca: [...tls.rootCertificates, fs.readFileSync(authorityFile, 'utf8')],
    timeout: 10_000,
  });
  return new Agent({
    ...options,
    connect: (target, callback) => {
      names.resolve(target.hostname).then(
        ([address = '']) => {
          const port = Number(target.port) || (target.protocol === 'https:' ? 443 : 80);
          const route = routeTo(from, address, port) ?? { address, port };
          // The certificate is the name's, not the address'.
          const servername = target.servername ?? target.hostname;
          connect({ ...target, servername, ...route, hostname: route.address, port: String(route.port) }, callback);
        },
        (cause: Error) => callback(cause, null),
      );
    },
  });
}

/** A user's agent, somewhere on the internet. */
export const outsideAgent = (options: Omit<Agent.Options, 'connect'> = {}): Agent =>
  agentFor(outsideStandpoint, options);
