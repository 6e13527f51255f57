/** An export out of a backup: restored into a throw-away server, asked by a cursor, written row by row, sealed before it is on the disk. */
import { stringify } from 'csv-stringify';
import { writeXlsxStream } from 'hucre/xlsx';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Readable, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { escapeIdentifier, type Client } from 'pg';
import { cellOf, defused, type Cell, type ExportFormat } from '../../backup/export';
import type { Instant, Manifest } from '../../backup/model';
import type { Call, ThrowAwayServer, Vault } from '../../backup/ports';
import { connected, type ServerTarget } from '../postgres/connection';
import { makeRoles } from './archive';
import { libpqEnvironment } from './dump';
import { program, runProgram } from './program';
import { makeScratch } from './scratch';
import { sealing, type Identities } from './seal';
import { inParallel } from './parallel';
import { takePart } from './store';
import { createThrowAway, throwAwayTarget } from './throwaway';

type Environment = Readonly<Record<string, string | undefined>>;

const patience = { statementMs: 0, connectMs: 10_000 };
const batch = 1_000;
const partsAtOnce = 4;

export interface ExportWish {
  readonly name: string;
  /** One SELECT; `$1` is the tenant. */
  readonly sql: string;
  readonly tenant?: string;
  readonly format: ExportFormat;
  readonly recoveryPoint: Instant;
  /** Who can open it. */
  readonly recipients: readonly string[];
  readonly file: string;
}

/** Restores a backup of a database, and removes it when `act` has ended. */
export async function fromBackup<T>(
  backup: {
    readonly vault: Vault;
    readonly manifest: Manifest;
    readonly identities: Identities;
    readonly environment: Environment;
  },
  act: (target: ServerTarget) => Promise<T>,
  call: Call,
): Promise<T> {
  const { vault, manifest, identities, environment } = backup;
  const scratch = await makeScratch('export', environment);
  let server: ThrowAwayServer | undefined;
  try {
    const folder = path.join(scratch, 'parts');
    await inParallel(manifest.parts, partsAtOnce, async (part) => {
      const file = path.join(folder, part.name);
      await fs.promises.mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
      await takePart(vault, manifest, part, { file, identities }, call);
    });
    server = await createThrowAway(environment, call);
    const target = throwAwayTarget(server, 'exported');
    await connected({ ...target, database: 'postgres' }, call.signal, async (client) => {
      // Policies of tables name them.
      await makeRoles(client, manifest.facts?.roles ?? []);
      await client.query('CREATE DATABASE exported TEMPLATE template0');
    });
    const env = await libpqEnvironment(target, environment, scratch);
    // Whose the tables are does not matter here; who may read them is who has the file's key.
    const args = ['--exit-on-error', '--no-owner', '--no-privileges', '--no-subscriptions', '--no-tablespaces'];
    await runProgram(program('pg_restore', environment), [...args, '--dbname=exported', folder], {
      ...{ env, signal: call.signal, code: 'BackupCorrupt' },
    });
    return await act(target);
  } finally {
    await server?.remove();
    await fs.promises.rm(scratch, { recursive: true, force: true });
  }
}

/** @returns how many rows were written; no file is left of an attempt that failed. */
export const writeExport = (target: ServerTarget, wish: ExportWish, call: Call): Promise<number> =>
  connected(
    target,
    call.signal,
    async (client) => {
      await client.query(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'",
      );
      await client.query(
        `DECLARE rows NO SCROLL CURSOR FOR ${wish.sql}`,
        wish.tenant === undefined ? [] : [wish.tenant],
      );
      const { fields } = await client.query('FETCH 0 FROM rows');
      const names = fields.map(({ name }) => name);
      let count = 0;
      const counted = async function* () {
        for await (const row of rowsOf(client)) {
          count += 1;
          yield row;
        }
      };
      await fs.promises.mkdir(path.dirname(wish.file), { recursive: true, mode: 0o700 });
      const draft = `${wish.file}.${process.pid}`;
      try {
        const stages = writers[wish.format](wish, names, counted());
        const sealed = [await sealing(wish.recipients), fs.createWriteStream(draft, { mode: 0o600 })];
        await pipeline([...stages, ...sealed], { signal: call.signal });
        await fs.promises.rename(draft, wish.file);
        return count;
      } finally {
        await fs.promises.rm(draft, { force: true });
      }
    },
    patience,
  );

/** Dates and what a double can't hold stay as the server writes them: nobody's time zone, nobody's rounding. */
const types = {
  getTypeParser: (oid: number) => (text: string | Buffer) => {
    const value = String(text);
    if (oid === 16) return value === 't';
    if (oid === 114 || oid === 3802) return JSON.parse(value) as unknown;
    const isNumber = [20, 21, 23, 700, 701, 1700].includes(oid);
    return isNumber && /^-?[\d.]{1,15}$/.test(value) ? Number(value) : value;
  },
};

async function* rowsOf(client: Client): AsyncGenerator<unknown[]> {
  for (;;) {
    const { rows } = await client.query<unknown[]>({
      text: `FETCH ${batch} FROM ${escapeIdentifier('rows')}`,
      rowMode: 'array',
      types,
    });
    if (rows.length === 0) return;
    yield* rows;
  }
}

type Rows = AsyncIterable<readonly unknown[]>;

/** The recovery point first: whoever opens the file reads how old it is before anything else. */
async function* table({ recoveryPoint }: ExportWish, names: readonly string[], rows: Rows): AsyncGenerator<Cell[]> {
  yield ['recovery point', new Date(recoveryPoint).toISOString()];
  yield names.map(defused);
  for await (const row of rows) yield row.map(cellOf);
}

async function* json({ name, recoveryPoint, tenant }: ExportWish, names: readonly string[], rows: Rows) {
  const head = { export: name, recoveryPoint: new Date(recoveryPoint).toISOString(), ...(tenant ? { tenant } : {}) };
  yield `${JSON.stringify(head).slice(0, -1)},"rows":[`;
  let first = true;
  for await (const row of rows) {
    yield `${first ? '' : ','}\n${JSON.stringify(Object.fromEntries(names.map((column, index) => [column, row[index]])))}`;
    first = false;
  }
  yield '\n]}\n';
}

/** What is piped one into the next: a fault of any is a fault of all. */
type Stages = [Readable, ...Duplex[]];

const writers: Readonly<Record<ExportFormat, (wish: ExportWish, names: readonly string[], rows: Rows) => Stages>> = {
  csv: (wish, names, rows) => [
    Readable.from(table(wish, names, rows)),
    stringify({ record_delimiter: 'windows', cast: { boolean: (value) => String(value) } }),
  ],
  xlsx: (wish, names, rows) => [
    Readable.fromWeb(writeXlsxStream(table(wish, names, rows), { name: wish.name.slice(0, 31) }) as never),
  ],
  json: (wish, names, rows) => [Readable.from(json(wish, names, rows))],
};
