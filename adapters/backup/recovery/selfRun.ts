/**
 * A server that we run ourselves, as its own tools are told of it: pgBackRest by PGBACKREST_*, PostgreSQL's clients by PG*. None
 * of it is the plan's.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { StandbyError } from '../../../failover/errors';
import { runsFolder } from '../../journal/local';
import type { ServerTarget } from '../../postgres/connection';
import type { PgBackRest } from '../pgbackrest';
import { isRoot, program, runProgram } from '../program';
import { PgBackRestRecovery } from './pgbackrest';

type Environment = Readonly<Record<string, string | undefined>>;

/** Repositories with their secrets are in the environment, as pgBackRest wants it, and in the file that it names. */
export function selfRunTool(environment: Environment, systemUser: string): Pick<PgBackRest, 'run' | 'secrets'> {
  const own = Object.entries(environment).filter(([name]) => name.startsWith('PGBACKREST_'));
  const secrets = Object.fromEntries(own) as Record<string, string>;
  return {
    secrets,
    run: (command, args, { signal, progress }) =>
      runProgram(program('pgbackrest', environment), [command, ...args], {
        ...{ signal, env: secrets, user: systemUser, cwd: '/', code: 'PgBackRestFailed', onLine: progress },
      }),
  };
}

/** @throws StandbyError SettingMissing */
export function selfRunRecovery(environment: Environment, who: string): PgBackRestRecovery {
  const stanza = needed(environment, 'PGBACKREST_STANZA', 'the stanza of the server');
  const systemUser = isRoot ? 'postgres' : os.userInfo().username;
  const { user, password } = selfRunServer(environment);
  return new PgBackRestRecovery({
    ...{ tool: selfRunTool(environment, systemUser), stanza, systemUser, login: { user, password }, who, environment },
    superuser: environment['STANDBY_SUPERUSER'] ?? 'postgres',
    folder:
      environment['STANDBY_RESTORES'] ?? (isRoot ? '/var/lib/standby' : path.join(runsFolder(environment), 'restored')),
  });
}

/** @throws StandbyError SettingMissing */
export function selfRunServer(environment: Environment): ServerTarget {
  const file = environment['PGSSLROOTCERT'];
  return {
    host: needed(environment, 'PGHOST', 'the name of the live server'),
    port: Number(environment['PGPORT'] ?? 5432),
    user: needed(environment, 'PGUSER', 'its administrator'),
    password: needed(environment, 'PGPASSWORD', "the administrator's password"),
    database: needed(environment, 'PGDATABASE', "the applications' database"),
    ...(file ? { ca: fs.readFileSync(file, 'utf8') } : {}),
  };
}

function needed(environment: Environment, name: string, what: string): string {
  const value = environment[name];
  if (value) return value;
  throw new StandbyError('SettingMissing', `${name} is not set: --from pgbackrest needs ${what} there`);
}
