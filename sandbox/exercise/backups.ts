/**
 * Backups that prove themselves, while PROD serves: one is taken and restored, a newer one that was damaged in the storage is found
 * out and passed over, and a table whose rows somebody deleted comes back as it was a second before.
 */
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';
import { SandboxError } from '../error';
import { folders } from '../world';
import { connect, type DatabaseAccess } from './data';
import { call, standby, type Event } from './standby';
import type { Timeline } from './timeline';

/** Rows of the table that is lost and found. */
const bookings = 10_000;
const schema = 'recovered_exercise';
/** Until the moment before the loss is in the backups. */
const archivedWithinMs = 60_000;

interface Manifest {
  readonly id: string;
  readonly parts: readonly { readonly bytes: number; readonly sha256: string }[];
}

interface Verdict {
  readonly id: string;
  readonly seconds: number;
  readonly defect?: string;
}

export interface BackupsResult {
  readonly takenBytes: number;
  readonly takenSeconds: number;
  readonly verifiedSeconds: number;
  /** What the damaged one was found out as. */
  readonly damaged: string;
  /** Of the backup that counts. */
  readonly newestSound: string;
  readonly rowsDeleted: number;
  readonly rowsBack: number;
  /** From the command until the rows were back. */
  readonly rowsBackSeconds: number;
}

const identityFile = () => path.join(folders.run, 'age-identity');
const env = () => ({ STANDBY_AGE_IDENTITY_FILE: identityFile() });

/** Makes the keys that open backups. @returns what the failover stack's configuration says of them. */
export async function backupConfiguration(database: string): Promise<Readonly<Record<string, string | number>>> {
  const identities = await Promise.all([generateX25519Identity(), generateX25519Identity()]);
  fs.writeFileSync(identityFile(), `${identities[0]}\n`, { mode: 0o600 });
  const [first = '', second = ''] = await Promise.all(identities.map((identity) => identityToRecipient(identity)));
  const one = 'backup.databases[0]';
  return {
    'backup.recoveryPointMinutes': 60,
    ...{ 'backup.recipients[0]': first, 'backup.recipients[1]': second },
    [`${one}.name`]: database,
    [`${one}.assertions[0].name`]: 'the data set is there',
    [`${one}.assertions[0].sql`]: 'SELECT count(*) FROM flights',
    [`${one}.assertions[0].atLeast`]: 200_000,
  };
}

/** @throws Error that says what a person would miss. */
export async function exerciseBackups(timeline: Timeline, access: DatabaseAccess): Promise<BackupsResult> {
  const began = Date.now();
  const first = await timeline.step('backup-run', 'standby backup run', take);
  const takenSeconds = (Date.now() - began) / 1000;
  const sound = await timeline.step('backup-verify', 'standby backup verify: restored and asked', () => verify(0));
  const second = await timeline.step('backup-again', 'standby backup run, once more', take);
  damage(second);
  const damaged = await timeline.step('backup-damaged', 'standby backup verify: a bit of it was flipped', () =>
    verify(5),
  );
  if (sound.id !== first.id || sound.defect !== undefined || damaged.id !== second.id || !damaged.defect) {
    throw new Error(`verdicts are ${JSON.stringify([sound, damaged])}; the second alone is damaged`);
  }
  const newestSound = await newest();
  if (newestSound !== first.id) throw new Error(`the newest sound backup is ${newestSound}; it is ${first.id}`);
  const client = await connect(access);
  try {
    return {
      ...{ takenBytes: first.parts.reduce((sum, { bytes }) => sum + bytes, 0), takenSeconds },
      ...{ verifiedSeconds: sound.seconds, damaged: damaged.defect, newestSound },
      ...(await bringBack(timeline, client)),
    };
  } finally {
    await client.end();
  }
}

function of<T>(events: readonly Event[], code: string): T {
  const event = events.find((one) => one.code === code);
  if (!event) throw new Error(`no ${code} was told`);
  return event[code] as T;
}

const take = async () => of<Manifest>(await standby(['backup', 'run'], { env: env() }), 'BackupTaken');

const verify = async (code: number) =>
  of<Verdict>(await standby(['backup', 'verify'], { env: env(), code }), 'BackupVerified');

/** @returns the newest backup that a restore found sound. */
async function newest(): Promise<string | undefined> {
  const kept = (await standby(['backup', 'list'], { env: env() })) as unknown as {
    readonly manifest: Manifest;
    readonly verdict?: Verdict;
  }[];
  const sound = kept.filter(({ verdict }) => verdict && verdict.defect === undefined);
  return sound
    .map(({ manifest }) => manifest.id)
    .sort()
    .at(-1);
}

/** Flips a bit of a backup's largest part, in the files of the storage itself: no interface would do it. */
function damage({ parts }: Manifest): void {
  const part = [...parts].sort((a, b) => b.bytes - a.bytes)[0];
  if (!part) throw new Error('the backup has no part');
  const files = fs.readdirSync(path.join(folders.run, 'blob'), { recursive: true, withFileTypes: true });
  for (const file of files.filter((one) => one.isFile())) {
    const name = path.join(file.parentPath, file.name);
    const content = fs.readFileSync(name);
    for (
      let at = content.indexOf('age-encryption.org/');
      at >= 0;
      at = content.indexOf('age-encryption.org/', at + 1)
    ) {
      const sealed = content.subarray(at, at + part.bytes);
      if (createHash('sha256').update(sealed).digest('hex') !== part.sha256) continue;
      const middle = at + Math.floor(part.bytes / 2);
      const handle = fs.openSync(name, 'r+');
      fs.writeSync(handle, Buffer.from([(content[middle] ?? 0) ^ 1]), 0, 1, middle);
      fs.closeSync(handle);
      return;
    }
  }
  throw new Error('the backup’s largest part is in no file of the storage');
}

interface Fingerprint {
  readonly rows: number;
  readonly digest: string | null;
}

async function fingerprint(client: Client): Promise<Fingerprint> {
  const { rows } = await client.query<Fingerprint>(
    'SELECT count(*)::int AS rows, md5(string_agg(b::text, chr(10) ORDER BY id)) AS digest FROM bookings b',
  );
  return rows[0] ?? { rows: 0, digest: null };
}

const now = async (client: Client): Promise<number> => {
  const { rows } = await client.query<{ ms: number }>(
    'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms',
  );
  return rows[0]?.ms ?? NaN;
};

async function bringBack(timeline: Timeline, client: Client) {
  await client.query(
    `CREATE TABLE bookings AS SELECT id, delay, distance, now() AS made FROM flights ORDER BY id LIMIT ${bookings}`,
  );
  await client.query('ALTER TABLE bookings ADD PRIMARY KEY (id)');
  const before = await fingerprint(client);
  const moment = Math.ceil((await now(client)) / 1000) * 1000;
  while ((await now(client)) < moment + 1_000) await delay(50);
  await client.query('DELETE FROM bookings');
  const began = Date.now();
  await timeline.step('table-restore', `standby restore --tables bookings: ${before.rows} rows were deleted`, () =>
    restoreTable(new Date(moment).toISOString(), Date.now() + archivedWithinMs),
  );
  await timeline.step('table-merge', 'standby restore --merge', async () => {
    await standby(['restore', '--into', schema, '--merge', '--yes']);
  });
  const after = await fingerprint(client);
  if (JSON.stringify(after) !== JSON.stringify(before)) {
    throw new Error(
      `bookings has ${after.rows} rows (${after.digest}); before they were deleted ${before.rows} (${before.digest})`,
    );
  }
  const rowsBackSeconds = (Date.now() - began) / 1000;
  // What was only there to be lost is no part of what the business takes along.
  await client.query(`DROP TABLE bookings; DROP SCHEMA ${schema} CASCADE`);
  return { rowsDeleted: before.rows, rowsBack: after.rows, rowsBackSeconds };
}

/** The moment is in the backups as soon as the server has archived what came after it. */
async function restoreTable(at: string, end: number): Promise<void> {
  const args = ['restore', '--tables', 'bookings', '--at', at, '--into', schema, '--yes'];
  for (;;) {
    const { code, last } = await call(args);
    if (code === 0) return;
    if (!/can't be restored: the backups/.test(last) || Date.now() > end) {
      throw new SandboxError('StandbyFailed', `standby ${args.join(' ')} ended with ${code}: ${last}`);
    }
  }
}
