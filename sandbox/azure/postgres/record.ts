/** What is kept on disk about each server beside its data: so that a service that was killed finds back what it ran. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { isRoot } from '../../process';
import { folders, type Site } from '../../world';

export interface IpRange {
  /** IPv4, both inclusive. */
  readonly start: string;
  readonly end: string;
}

export interface ServerRecord {
  readonly name: string;
  readonly resourceId: string;
  readonly site: Site;
  readonly address: string;
  readonly fqdn: string;
  readonly administratorLogin: string;
  /** Tells this server from a later one of the same name; names its backup store and its replication slot. */
  readonly incarnation: string;
  /** `creating`: what is in the data directory is not whole and must be made anew. */
  phase: 'creating' | 'ready';
  desired: 'running' | 'stopped';
  role: 'primary' | 'replica';
  /** Of a replica: name of the server it follows. */
  source?: string;
  retentionDays: number;
  geoRedundant: boolean;
  ranges: readonly IpRange[];
  /** Parameters that were set by a person. */
  parameters: Readonly<Record<string, string>>;
}

const root = path.join(folders.azure, 'postgres');
export const serversFolder = path.join(root, 'servers');
export const backupsFolder = path.join(root, 'backups');
export const serverFolder = (name: string) => path.join(serversFolder, name);
export const dataFolder = (name: string) => path.join(serverFolder(name), 'data');
export const socketFolder = (name: string) => path.join(serverFolder(name), 's');
const recordFile = (name: string) => path.join(serverFolder(name), 'server.json');

/** Name of the server's process in the sandbox's list of processes. */
export const processName = (record: Pick<ServerRecord, 'name' | 'site'>) => `postgres/${record.site}/${record.name}`;

/** Makes a folder that belongs to PostgreSQL's user. */
export function makeFolder(folder: string): void {
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  own(folder);
}

let postgresUser: { readonly uid: number; readonly gid: number } | undefined;
/** Gives a file or folder (not what is in it) to PostgreSQL's user. */
export function own(file: string): void {
  if (!isRoot) return;
  postgresUser ??= {
    uid: Number(execFileSync('id', ['-u', 'postgres'])),
    gid: Number(execFileSync('id', ['-g', 'postgres'])),
  };
  fs.chownSync(file, postgresUser.uid, postgresUser.gid);
}

/** Writes a file whole or not at all, for PostgreSQL's user to read. */
export function writeWhole(file: string, text: string): void {
  const part = `${file}.new`;
  fs.writeFileSync(part, text, { mode: 0o600 });
  own(part);
  fs.renameSync(part, file);
}

export function readRecord(name: string): ServerRecord | undefined {
  try {
    return JSON.parse(fs.readFileSync(recordFile(name), 'utf8')) as ServerRecord;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}

export function writeRecord(record: ServerRecord): void {
  makeFolder(serverFolder(record.name));
  writeWhole(recordFile(record.name), JSON.stringify(record));
}

export function listRecords(): ServerRecord[] {
  if (!fs.existsSync(serversFolder)) return [];
  return fs.readdirSync(serversFolder).flatMap((name) => readRecord(name) ?? []);
}
