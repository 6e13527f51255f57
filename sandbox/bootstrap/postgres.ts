/** Finds PostgreSQL's programs, the server's included, which distributions keep off PATH. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { SandboxError } from '../error';
import { isRoot } from '../process';
import { findExecutable, isAtLeast, missing } from './find';
import { installPackages } from './packages';
import { run } from './run';
import { step, type Context } from './step';
import { versions } from './versions';

export interface PostgresTool {
  readonly bin: string;
  readonly version: string;
}

const programs = [
  'postgres',
  'initdb',
  'pg_ctl',
  'pg_basebackup',
  'pg_verifybackup',
  'pg_rewind',
  'pg_dump',
  'pg_restore',
  'psql',
];
const distributionRoots = ['/usr/lib/postgresql', '/usr/pgsql', '/opt/postgresql'];

/** @param roots folders that hold one folder per version, with `bin` in it. */
export function preparePostgres(context: Context, roots: readonly string[] = distributionRoots): Promise<PostgresTool> {
  return step(context, 'PostgreSQL', async () => {
    let found = await newest(context, roots);
    if (!found && (await install(context))) found = await newest(context, roots);
    if (!found) {
      const { least } = versions.postgres;
      throw missing(
        'PostgreSQL',
        least,
        `but no folder with all of ${programs.join(', ')} was found`,
        'apt-get install postgresql',
      );
    }
    await checkUser(context);
    return [found, `${found.version} in ${found.bin}`];
  });
}

async function candidates({ signal }: Context, roots: readonly string[]): Promise<string[]> {
  const config = findExecutable('pg_config');
  const configured = config ? [(await run(config, ['--bindir'], { signal })).trim()] : [];
  const distributed = roots
    .filter((root) => fs.existsSync(root))
    .flatMap((root) => fs.readdirSync(root).map((version) => path.join(root, version, 'bin')));
  return [...new Set([...configured, ...distributed, ...(process.env['PATH'] ?? '').split(path.delimiter)])];
}

async function newest(context: Context, roots: readonly string[]): Promise<PostgresTool | undefined> {
  let best: PostgresTool | undefined;
  for (const bin of await candidates(context, roots)) {
    if (!programs.every((program) => findExecutable(program, [bin]))) continue;
    const said = await run(path.join(bin, 'postgres'), ['--version'], { signal: context.signal });
    const version = /\d+(\.\d+)*/.exec(said)?.[0] ?? '0';
    if (isAtLeast(version, best?.version ?? versions.postgres.least)) best = { bin, version };
  }
  return best;
}

/** Debian's package would make and start a cluster of its own; this setting of its keeps it from that. */
function install(context: Context): Promise<boolean> {
  const setting = '/etc/postgresql-common/createcluster.conf';
  if (isRoot && findExecutable('apt-get') && !fs.existsSync(setting)) {
    fs.mkdirSync(path.dirname(setting), { recursive: true });
    fs.writeFileSync(setting, 'create_main_cluster = false\n');
  }
  return installPackages(context, ['postgresql']);
}

async function checkUser({ signal }: Context): Promise<void> {
  if (!isRoot) return;
  const known = await run('id', ['-u', 'postgres'], { signal }).then(
    () => true,
    () => false,
  );
  const how = 'make it (useradd --system postgres), or run this as an ordinary user';
  if (!known)
    throw new SandboxError('UserMissing', `PostgreSQL refuses to run as root, and there is no user "postgres"; ${how}`);
}
