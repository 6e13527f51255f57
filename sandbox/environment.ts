/**
 * What the sandbox overlays on the programs and on the people who use them: endpoints and credentials, as environment
 * variables, and nothing else. Secrets are made anew for each world and kept in one file that only its owner reads.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { authorityFile } from './authority';
import type { Toolchain } from './bootstrap';
import { outsideStandpoint } from './network/standpoints';
import { folders, home, outside, ports, providerPorts, repository } from './world';

export type Environment = Readonly<Record<string, string>>;

/** Principal of the people and of their pipelines: object id and client id of the service principal that deploys. */
export const operator = {
  principalId: '00000000-0000-4000-8000-0000000000d1',
  clientId: '00000000-0000-4000-8000-0000000000d0',
} as const;

const environmentFile = path.join(folders.run, 'environment.json');
const passphraseFile = path.join(folders.run, 'passphrase');
const stateAccount = 'standbystate';

interface WorldEnvironment {
  /** For the sandbox's own parts. */
  readonly parts: Environment;
  /** For `pulumi` and the vendors' command lines: `standby sandbox env`. */
  readonly people: Environment;
}

/**
 * Those of PostgreSQL's programs that speak with servers, at the place of whoever starts them: a pod's, else an operator's.
 * @returns their folder.
 */
function writePrograms(postgresBin: string): string {
  const folder = path.join(folders.build, 'programs');
  const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const net = `net=$(tr '\\0' '\\n' </proc/$PPID/environ | sed -n 's/^STANDBY_NET=//p')
[ "$net" ] || net=${quoted(JSON.stringify(outsideStandpoint))}`;
  const place = `NODE_OPTIONS=${quoted(`--require ${JSON.stringify(path.join(folders.build, 'hook.js'))}`)} STANDBY_NET=$net`;
  fs.mkdirSync(folder, { recursive: true });
  for (const name of ['pg_dump', 'pg_restore', 'psql']) {
    const command = [process.execPath, path.join(folders.build, 'relay.js'), path.join(postgresBin, name)].map(quoted);
    const script = `#!/bin/sh\n${net}\n${place} exec ${command.join(' ')} "$@"\n`;
    fs.writeFileSync(path.join(folder, name), script, { mode: 0o755 });
  }
  return folder;
}

/** Makes the secrets of a new world and writes both environments down (0600). */
export function createEnvironment(toolchain: Toolchain): WorldEnvironment {
  fs.mkdirSync(folders.run, { recursive: true });
  const secret = () => randomBytes(24).toString('hex');
  const stateKey = randomBytes(64).toString('base64');
  fs.writeFileSync(passphraseFile, secret(), { mode: 0o600 });

  const vendors = {
    NODE_EXTRA_CA_CERTS: authorityFile,
    SSL_CERT_FILE: authorityFile,
    ARM_SUBSCRIPTION_ID: '00000000-0000-4000-8000-000000000001',
    ARM_TENANT_ID: '00000000-0000-4000-8000-0000000000aa',
    ARM_CLIENT_ID: operator.clientId,
    ARM_CLIENT_SECRET: secret(),
    ARM_METADATA_HOSTNAME: `http://${outside.arm}:${ports.http}`,
    ARM_DISABLE_INSTANCE_DISCOVERY: 'true',
    CLOUDFLARE_API_TOKEN: secret().slice(0, 40),
    CLOUDFLARE_ACCOUNT_ID: '0123456789abcdef0123456789abcdef',
    CLOUDFLARE_BASE_URL: `https://${outside.cloudflareApi}:${ports.https}/client/v4`,
  };
  const parts = {
    ...vendors,
    STANDBY_HOME: home,
    STANDBY_WORLD: process.env['STANDBY_WORLD'] ?? '0',
    STANDBY_REPOSITORY: repository,
    STANDBY_STATE_KEY: stateKey,
    NODE_PATH: path.join(repository, 'node_modules'),
  };
  const standIns = Object.entries(providerPorts).map(([name, port]) => `${name}:${port}`);
  const people = {
    ...vendors,
    STANDBY_HOME: home,
    STANDBY_WORLD: parts.STANDBY_WORLD,
    PATH: `${folders.bin}:${process.env['PATH']}`,
    // An operator's machine, outside both sites.
    NODE_OPTIONS: `--require ${JSON.stringify(path.join(folders.build, 'hook.js'))}`,
    STANDBY_NET: JSON.stringify(outsideStandpoint),
    STANDBY_RESOLVERS: outsideStandpoint.resolver,
    STANDBY_POSTGRES_BIN: writePrograms(toolchain.postgresBin),
    STANDBY_PROJECT: folders.project,
    STANDBY_RUNS: path.join(folders.run, 'runs'),
    PULUMI_HOME: path.join(folders.run, 'pulumi'),
    PULUMI_BACKEND_URL: `azblob://state?storage_account=${stateAccount}&protocol=http&domain=${outside.blob}:${ports.blob}&localemu=true`,
    AZURE_STORAGE_ACCOUNT: stateAccount,
    AZURE_STORAGE_KEY: stateKey,
    PULUMI_CONFIG_PASSPHRASE_FILE: passphraseFile,
    PULUMI_SKIP_UPDATE_CHECK: 'true',
    ...(toolchain.providers === 'stand-in'
      ? { PULUMI_DEBUG_PROVIDERS: standIns.join(','), PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true' }
      : {}),
  };
  const environment = { parts, people };
  fs.writeFileSync(environmentFile, JSON.stringify(environment, undefined, 2), { mode: 0o600 });
  return environment;
}

/** @returns the environments of the world that is up; undefined when none is. */
export function readEnvironment(): WorldEnvironment | undefined {
  try {
    return JSON.parse(fs.readFileSync(environmentFile, 'utf8')) as WorldEnvironment;
  } catch {
    return undefined;
  }
}
