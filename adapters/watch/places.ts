/** Where to look, from what the stacks told: read again now and then, because a role may have changed. */
import type { Landscape } from '../../config/landscape';
import { hosts, sites, type Site } from '../../config/fields';
import { z } from 'zod';
import { StandbyError } from '../../failover/errors';
import { resolversOf } from '../drill/production';
import { pulumi, type Environment } from '../pulumi/command';
import { firstLine } from '../pulumi/fault';
import { redactor } from '../redact';
import type { Places } from './probes';

const limitMs = 20_000;

/** Outputs of the failover stack that a watcher needs; none is secret. */
const outputs = z.object({
  activeSite: z.enum(sites),
  epoch: z.int(),
  hosts,
  databaseServer: z.string().min(1),
  databaseFqdn: z.string().min(1),
  servers: z.array(z.object({ name: z.string(), site: z.enum(sites), role: z.string() })),
});

export interface Watched {
  readonly active: Site;
  readonly epoch: number;
  readonly places: Places;
  /** A streaming replica stands at the site that does not have the business. */
  readonly replica: boolean;
}

/** @throws StandbyError OutputsUnread */
export async function readWatched(
  environment: Environment,
  landscape: Landscape,
  signal: AbortSignal,
): Promise<Watched> {
  const options = { signal, timeoutMs: limitMs };
  const { code, stdout, stderr } = await pulumi(
    environment,
    ['stack', 'output', '--json', '--stack', 'failover'],
    options,
  );
  const found = code === 0 ? outputs.safeParse(JSON.parse(stdout)) : undefined;
  if (!found?.success) {
    const why = found ? found.error.issues.map(({ path }) => path.join('.')).join(', ') : firstLine(stderr);
    throw new StandbyError(
      'OutputsUnread',
      `the outputs of stack failover can't be read (${redactor({ environment })(why)}): run \`pulumi up --stack failover\` first`,
      { retryable: true },
    );
  }
  const { activeSite, epoch, databaseServer, databaseFqdn, servers } = found.data;
  const { database, identity } = landscape.sites.prod;
  return {
    active: activeSite,
    epoch,
    replica: servers.some(({ role, site }) => role === 'replica' && site !== activeSite),
    places: {
      hosts: found.data.hosts,
      realm: identity.realm,
      ingress: {
        prod: landscape.sites.prod.network.ingressAddress,
        intg: landscape.sites.intg.network.ingressAddress,
      },
      database: {
        host: databaseFqdn,
        port: database.port,
        site: servers.find(({ name }) => name === databaseServer)?.site ?? activeSite,
      },
      resolvers: resolversOf(environment),
    },
  };
}
