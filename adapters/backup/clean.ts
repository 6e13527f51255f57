/** The search for the last clean second: restores, asks, throws away; its answers are kept, so that it can be cut off and go on. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { decide, wholeSeconds, type Finding } from '../../backup/bisect';
import type { Instant, RecoveryRange } from '../../backup/model';
import type { Call, RecoverySource } from '../../backup/ports';
import { StandbyError } from '../../failover/errors';
import { connected, transaction, type ServerTarget } from '../postgres/connection';
import { targetOf } from './recovery/recovery';

const patience = { statementMs: 3_600_000, connectMs: 5_000 };

/** @throws StandbyError AssertionWrong */
export function parseAssertion(text: string): string {
  if (/^\s*(select|with|table|values)\b[^;]*;?\s*$/i.test(text)) return text.replace(/;\s*$/, '');
  throw new StandbyError(
    'AssertionWrong',
    'the assertion is not one SELECT; it gives one boolean, true when the data are clean, such as SELECT count(*) > 0 FROM bookings',
    { exit: 'usage' },
  );
}

/** Asks one server, which it can't change. @throws StandbyError AssertionUnclear */
export async function isClean(target: ServerTarget, assertion: string, { signal }: Call): Promise<boolean> {
  const rows = await connected(
    target,
    signal,
    (client) =>
      transaction(client, async () => {
        await client.query('SET TRANSACTION READ ONLY');
        return (await client.query<unknown[]>({ text: assertion, rowMode: 'array' })).rows;
      }),
    patience,
  ).catch((cause: unknown) => {
    if (signal.aborted || !(cause instanceof StandbyError) || cause.code !== 'DatabaseRefused') throw cause;
    throw unclear(cause.message);
  });
  const value = rows[0]?.[0];
  if (rows.length === 1 && rows[0]?.length === 1 && typeof value === 'boolean') return value;
  throw unclear(`it gives ${rows.length} rows, and not one boolean`);
}

const unclear = (why: string) =>
  new StandbyError(
    'AssertionUnclear',
    `the assertion can't be answered (${why}): correct it, or begin later with --since`,
  );

export interface Search {
  readonly recovery: RecoverySource;
  /** Server whose past it is. */
  readonly source: string;
  /** Database that is asked. */
  readonly database: string;
  readonly assertion: string;
  readonly range: RecoveryRange;
  /** Folder in which answers are kept. */
  readonly folder: string;
}

/**
 * An answer is one about the moment that a server really came to: where the archived log ends before the moment that was asked for, the
 * range ends there too.
 * @returns what was found, and how many restores it took.
 */
export async function findClean(
  { recovery, source, database, assertion, range, folder }: Search,
  call: Call,
): Promise<{ readonly finding: Exclude<Finding, { outcome: 'ask' }>; readonly restores: number }> {
  const file = path.join(folder, `find-clean-${fingerprint(format, recovery.kind, source, database, assertion)}.json`);
  const answers = readAnswers(file);
  const { earliest, latest } = wholeSeconds(range);
  let end = latest;
  for (let restores = 0; ; restores += 1) {
    const finding = decide({ earliest, latest: end }, answers);
    if (finding.outcome !== 'ask') return { finding, restores };
    const { at, left } = finding;
    call.progress(`restore ${restores + 1} of at most ${restores + left}: ${iso(at)}`);
    const server = await recovery.restore(at, call);
    const { recoveryPoint: reached = at } = server;
    const early = reached < at;
    let clean: boolean;
    try {
      clean = await isClean(targetOf(server, database), assertion, call);
    } finally {
      await server.remove();
    }
    // What is clean where the log ends may be spoiled by what is not archived yet; what is spoiled there is so at the next second.
    const second = early ? Math.max(earliest, clean ? reached : Math.ceil(reached / 1_000) * 1_000) : at;
    if (early) end = second;
    if (early && clean && at > earliest) continue;
    answers.set(second, clean);
    // Nothing was committed since the range begins, as far as the log goes: as good an answer as there is, until more of it comes.
    if (!early || !clean) keepAnswers(file, answers);
    call.progress(`${iso(second)} is ${clean ? 'clean' : 'dirty'}`);
  }
}

/** Of the answers' file; of another format it is another file. */
const format = '2';

/** Answers to this question about this database, and to no other. */
const fingerprint = (...parts: readonly string[]) =>
  createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 16);

function readAnswers(file: string): Map<Instant, boolean> {
  if (!fs.existsSync(file)) return new Map();
  return new Map(z.array(z.tuple([z.number(), z.boolean()])).parse(JSON.parse(fs.readFileSync(file, 'utf8'))));
}

function keepAnswers(file: string, answers: ReadonlyMap<Instant, boolean>): void {
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  fs.writeFileSync(draft, JSON.stringify([...answers]), { mode: 0o600 });
  fs.renameSync(draft, file);
}

const iso = (at: Instant) => new Date(at).toISOString();
