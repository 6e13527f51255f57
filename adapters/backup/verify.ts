/** The restore check: a backup is restored into a throw-away server and asked. Only what comes out of that counts. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { escapeIdentifier, type Client } from 'pg';
import { z } from 'zod';
import type { Instant, Manifest, Verdict } from '../../backup/model';
import type { Call, ThrowAwayServer, Vault } from '../../backup/ports';
import { judge, sameContents, type Answer, type Expected, type Found } from '../../backup/verdict';
import type { Assertion } from '../../config/backup';
import { connected } from '../postgres/connection';
import { faultOf, makeRoles, readArchive, takeParts } from './archive';
import { libpqEnvironment } from './dump';
import { readFacts } from './facts';
import { program, runProgram } from './program';
import { makeScratch } from './scratch';
import type { Identities } from './seal';
import { throwAwayTarget } from './throwaway';

export interface VerifyOptions {
  readonly vault: Vault;
  readonly manifest: Manifest;
  /** All of the data set, and what was found of them: contents that were restored lately are not restored again. */
  readonly others: readonly Manifest[];
  readonly verdicts: readonly Verdict[];
  readonly expected: Expected;
  readonly identities: Identities;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Made when the first restore needs it. */
  readonly server: () => Promise<ThrowAwayServer>;
  /** Restores whatever was restored before. */
  readonly full: boolean;
  readonly jobs: number;
  readonly now: () => Instant;
}

const patience = { statementMs: 3_600_000, connectMs: 10_000 };

/** @throws StandbyError where nobody can tell: no key, no server, no answer from the vault. */
export async function verifyBackup(options: VerifyOptions, call: Call): Promise<Verdict> {
  const { vault, manifest, expected, now } = options;
  const began = now();
  const scratch = await makeScratch('verify', options.environment);
  try {
    const found = await look(options, scratch, call);
    const verifiedAt = now();
    return {
      ...{ dataSet: manifest.dataSet, id: manifest.id, vault: vault.traits.name, verifiedAt },
      ...{ recoveryPoint: manifest.recoveryPoint, seconds: (verifiedAt - began) / 1000 },
      bytes: manifest.parts.reduce((sum, part) => sum + part.plainBytes, 0),
      ...judge(manifest, found, expected, verifiedAt),
      ...(found.same ? { reused: manifest.parts.length } : {}),
      asked: askedOf(expected.assertions),
      ...(expected.accepted?.length ? { accepted: expected.accepted } : {}),
    };
  } finally {
    await fs.rm(scratch, { recursive: true, force: true });
  }
}

/** Many checks go on at once: nobody is told of each part. */
const quietly = ({ signal }: Call): Call => ({ signal, progress: () => undefined });

const askedOf = (assertions: readonly Assertion[]) =>
  createHash('sha256').update(JSON.stringify(assertions)).digest('hex');

async function look(options: VerifyOptions, scratch: string, call: Call): Promise<Found> {
  const { manifest, others, verdicts, expected, full, now } = options;
  const known = sameContents(manifest, others, verdicts, askedOf(expected.assertions), now());
  const same = full ? undefined : known;
  const folder = path.join(scratch, 'parts');
  await fs.mkdir(folder, { mode: 0o700 });
  // Parts whose contents were restored already are not opened, but for the table of contents.
  const fault = await takeParts(options, folder, quietly(call), ({ name }) => !same || name === 'toc.dat');
  if (fault) return { parts: fault };
  const archive = await readArchive(folder, options.environment, call);
  if ('defect' in archive) return { restore: archive };
  if (same) return { archived: archive.database, same };
  if (archive.database !== expected.database) return { archived: archive.database };
  const server = await options.server();
  const database = `${manifest.dataSet.replace('/', '_')}_${manifest.id.toLowerCase()}`.slice(-63);
  try {
    return {
      archived: archive.database,
      ...(await restoreAndAsk(options, server, database, { folder, scratch }, call)),
    };
  } finally {
    await sql(server, 'postgres', call, (client) =>
      client.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(database)} WITH (FORCE)`),
    );
  }
}

const sql = <T>(server: ThrowAwayServer, database: string, { signal }: Call, act: (client: Client) => Promise<T>) =>
  connected(throwAwayTarget(server, database), signal, act, patience);

async function restoreAndAsk(
  { manifest, expected, environment, jobs }: VerifyOptions,
  server: ThrowAwayServer,
  database: string,
  { folder, scratch }: { readonly folder: string; readonly scratch: string },
  call: Call,
): Promise<Found> {
  await sql(server, 'postgres', call, async (client) => {
    await makeRoles(client, manifest.facts?.roles ?? []);
    await client.query(`CREATE DATABASE ${escapeIdentifier(database)} TEMPLATE template0`);
  });
  try {
    const env = await libpqEnvironment(throwAwayTarget(server, database), environment, scratch);
    const args = [
      '--exit-on-error',
      `--jobs=${jobs}`,
      '--no-subscriptions',
      '--no-tablespaces',
      `--dbname=${database}`,
    ];
    await runProgram(program('pg_restore', environment), [...args, folder], {
      ...{ env, signal: call.signal, code: 'BackupCorrupt' },
    });
  } catch (cause) {
    return { restore: faultOf(cause) };
  }
  return sql(server, database, call, async (client) => {
    const brokenKeys = await checkKeys(client);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const facts = await readFacts(client, { roles: false });
    await client.query('COMMIT');
    // The name differs because two backups of one database may be checked side by side.
    return { facts, brokenKeys, answers: await ask(client, expected.assertions) };
  });
}

/** A restore checks each key as it adds it; one that the source never checked is checked now. */
async function checkKeys(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ table: string; name: string }>(
    `SELECT conrelid::regclass::text AS table, conname AS name FROM pg_constraint
     WHERE contype = 'f' AND NOT convalidated AND conparentid = 0 ORDER BY 1, 2`,
  );
  const broken: string[] = [];
  for (const { table, name } of rows) {
    await client.query('BEGIN');
    await client
      .query(`ALTER TABLE ${table} VALIDATE CONSTRAINT ${escapeIdentifier(name)}`)
      .catch((cause: { code?: string }) => {
        if (cause.code !== '23503') throw cause as Error;
        broken.push(`${table}.${name}`);
      });
    await client.query('ROLLBACK');
  }
  return broken;
}

const numeric = z.union([z.number(), z.string().regex(/^-?\d+(\.\d+)?$/), z.boolean()]);

async function ask(client: Client, assertions: readonly Assertion[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const { name, sql: question } of assertions) {
    await client.query('BEGIN READ ONLY');
    answers.push(await answerTo(client, name, question));
    await client.query('ROLLBACK');
  }
  return answers;
}

async function answerTo(client: Client, name: string, question: string): Promise<Answer> {
  try {
    const { rows } = await client.query<unknown[]>({ text: question, rowMode: 'array' });
    const value = numeric.safeParse(rows[0]?.[0]);
    return value.success ? { name, value: Number(value.data) } : { name, fault: 'its first value is no number' };
  } catch (cause) {
    const { code } = cause as { code?: string };
    // A connection that broke says nothing about the data. What the server says may quote some of them.
    if (code === undefined || !/^[0-9A-Z]{5}$/.test(code) || /^(08|57P)/.test(code)) throw cause;
    return { name, fault: `the query fails (${code})` };
  }
}
