/** What the bootstrap found, fetched and built: absolute paths, kept on disk for the parts that start later. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { SandboxError } from '../error';
import { folders } from '../world';

export interface Tool {
  readonly path: string;
  readonly version: string;
}

export interface KeycloakTool {
  /** A distribution that is built for PostgreSQL: start it with `--optimized`. */
  readonly home: string;
  readonly version: string;
  /** Options for `java` that make it start fast and stay small; then its main class, then Keycloak's own arguments. */
  readonly options: readonly string[];
  readonly mainClass: string;
  /** SQL of an empty database's schema, without any row of a realm. Loading it first spares a new database some seconds. */
  readonly schema: string;
}

export interface Toolchain {
  readonly pulumi: Tool & { readonly origin: 'found' | 'downloaded' | 'built' };
  /** Who serves azure-native, cloudflare, kubernetes and random to the engine. */
  readonly providers: 'official' | 'stand-in';
  readonly kubebox: Tool;
  readonly java: Tool;
  readonly keycloak: KeycloakTool;
  /** The folder of `postgres`, `initdb`, `pg_basebackup`, `pg_dump`, `psql` and so on. */
  readonly postgresBin: string;
  readonly postgresVersion: string;
  /** S3 with an object lock that holds. */
  readonly versitygw: Tool;
  /** Absent where the distribution does not have them: what needs them is left out there. */
  readonly pgbackrest?: Tool;
  readonly age?: Tool;
}

const file = path.join(folders.cache, 'toolchain.json');

export function writeToolchain(toolchain: Toolchain): void {
  // Worlds that share the cache have paths of their own to it, which are gone when they are.
  const text = JSON.stringify(toolchain, undefined, 2).replaceAll(folders.cache, fs.realpathSync(folders.cache));
  fs.writeFileSync(`${file}.next`, `${text}\n`);
  fs.renameSync(`${file}.next`, file);
}

/** @throws SandboxError when the bootstrap has not run yet. */
export function readToolchain(): Toolchain {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')) as Toolchain;
  } catch (cause) {
    throw new SandboxError('NotBootstrapped', `${file} can't be read; run "npx standby sandbox up" first`, { cause });
  }
}
