/** A database's backup on its way out of a vault: its parts as files, what the archive says of itself, what it needs of a server. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { escapeIdentifier, type Client } from 'pg';
import type { Defect, Manifest, Part } from '../../backup/model';
import type { Call, Vault } from '../../backup/ports';
import type { Fault } from '../../backup/verdict';
import { StandbyError } from '../../failover/errors';
import { program, runProgram } from './program';
import type { Identities } from './seal';
import { inParallel } from './parallel';
import { takePart } from './store';

type Environment = Readonly<Record<string, string | undefined>>;

export interface KeptArchive {
  readonly vault: Vault;
  readonly manifest: Manifest;
  readonly identities: Identities;
}

const partsAtOnce = 4;

/**
 * Every byte is read in any case and held against the manifest.
 * @param wanted - parts that are opened and written. @default - all
 */
export async function takeParts(
  { vault, manifest, identities }: KeptArchive,
  folder: string,
  call: Call,
  wanted: (part: Part) => boolean = () => true,
): Promise<Fault | undefined> {
  try {
    let taken = 0;
    await inParallel(manifest.parts, partsAtOnce, async (part) => {
      const file = path.join(folder, part.name);
      await fs.mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
      await takePart(vault, manifest, part, wanted(part) ? { file, identities } : undefined, call);
      taken += 1;
      call.progress(`${manifest.dataSet}: ${taken} of ${manifest.parts.length} parts are here`);
    });
    return undefined;
  } catch (cause) {
    return faultOf(cause);
  }
}

const defects: readonly string[] = ['BackupTruncated', 'BackupCorrupt', 'BackupNotReadable'] satisfies Defect[];

/** @throws what does not speak of the backup. */
export function faultOf(cause: unknown): Fault {
  if (!(cause instanceof StandbyError) || !defects.includes(cause.code)) throw cause;
  return { defect: cause.code as Defect, detail: cause.message };
}

export interface Archive {
  /** Database that it is of. */
  readonly database: string;
  /** Its table of contents, one entry a line, as `pg_restore --use-list` takes it. */
  readonly entries: readonly string[];
}

/** What the archive says of itself, without a server. */
export async function readArchive(
  folder: string,
  environment: Environment,
  { signal }: Pick<Call, 'signal'>,
): Promise<Archive | Fault> {
  try {
    const { stdout } = await runProgram(program('pg_restore', environment), ['--list', folder], {
      ...{ signal, code: 'BackupNotReadable' },
    });
    const database = /^;\s+dbname: (.+)$/m.exec(stdout)?.[1];
    return database === undefined
      ? { defect: 'BackupNotReadable', detail: 'the archive does not say what database it is of' }
      : { database, entries: stdout.split('\n').filter((line) => /^\d+; /.test(line)) };
  } catch (cause) {
    return faultOf(cause);
  }
}

/** Roles that its definitions speak of. Two restores side by side speak of the same ones. */
export async function makeRoles(client: Client, roles: readonly string[]): Promise<void> {
  for (const role of roles) {
    await client.query(`CREATE ROLE ${escapeIdentifier(role)}`).catch((cause: { code?: string }) => {
      if (cause.code !== '42710' && cause.code !== '23505') throw cause as Error;
    });
  }
}
