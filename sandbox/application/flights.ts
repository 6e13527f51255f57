/** app api: the flights of the public data set, and the sentinel rows that measure what a failover loses. */
import type { Database, Tables } from './database';
import { Fault, json, type Answer, type Handlers, type Request } from './http';
import type { Settings } from './settings';

export const apiTables: Tables = {
  flights: `CREATE TABLE IF NOT EXISTS flights (
    id bigserial PRIMARY KEY, delay int NOT NULL, distance int NOT NULL, time real NOT NULL)`,
  sentinel: `CREATE TABLE IF NOT EXISTS sentinel (
    seq bigint PRIMARY KEY, written_at timestamptz NOT NULL DEFAULT clock_timestamp(), site text NOT NULL, epoch int NOT NULL)`,
};

const mostFlights = 1_000;
const mostSentinels = 100_000;

interface Sentinel {
  readonly seq: string;
  readonly written_at: Date;
  readonly site: string;
  readonly epoch: number;
}

/** @throws Fault 400 */
function wholeNumber(name: string, value: unknown, least: number, most: number): number {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most) return number;
  throw new Fault(
    400,
    'BadValue',
    `${name} is ${JSON.stringify(value)}; allowed is a whole number from ${least} to ${most}`,
  );
}

const parameter = (request: Request, name: string, otherwise: number, least: number, most: number) =>
  wholeNumber(name, request.url.searchParams.get(name) ?? otherwise, least, most);

const shown = (row: Sentinel) => ({
  seq: Number(row.seq),
  writtenAt: row.written_at.toISOString(),
  site: row.site,
  epoch: row.epoch,
});

/** Inserts once: a row that is there already stays as it is, and the answer is 200 instead of 201. */
async function writeSentinel(request: Request, database: Database, settings: Settings): Promise<Answer> {
  const body = (await request.json()) as { seq?: unknown; at?: unknown } | null;
  const seq = wholeNumber('seq', body?.seq, 0, Number.MAX_SAFE_INTEGER);
  const inserted = await database.query<Sentinel>(
    'INSERT INTO sentinel (seq, site, epoch) VALUES ($1, $2, $3) ON CONFLICT (seq) DO NOTHING RETURNING *',
    [seq, settings.site, settings.epoch],
  );
  const [created] = inserted.rows;
  if (created) return json(201, shown(created));
  const existing = await database.query<Sentinel>('SELECT * FROM sentinel WHERE seq = $1', [seq]);
  const [row] = existing.rows;
  if (!row) throw new Fault(503, 'DatabaseUnavailable', `row ${seq} was there and is not; try again`);
  return json(200, shown(row));
}

export const apiHandlers = (database: Database, settings: Settings): Handlers => ({
  'GET /flights/summary': async () => {
    const { rows } = await database.query(
      `SELECT count(*)::int AS count, avg(delay)::float AS "averageDelay", avg(distance)::float AS "averageDistance",
         max(delay) AS "longestDelay" FROM flights`,
    );
    return json(200, rows[0]);
  },
  'GET /flights': async (request) => {
    const limit = parameter(request, 'limit', 20, 1, mostFlights);
    const { rows } = await database.query(
      'SELECT id::float AS id, delay, distance, time FROM flights ORDER BY id LIMIT $1',
      [limit],
    );
    return json(200, { flights: rows });
  },
  'POST /sentinel': (request) => writeSentinel(request, database, settings),
  'GET /sentinel/max': async () => {
    const { rows } = await database.query<{ max: string | null; count: number }>(
      'SELECT max(seq) AS max, count(*)::int AS count FROM sentinel',
    );
    const max = rows[0]?.max ?? null;
    return json(200, { max: max === null ? null : Number(max), count: rows[0]?.count ?? 0 });
  },
  'GET /sentinel': async (request) => {
    const from = parameter(request, 'from', 0, 0, Number.MAX_SAFE_INTEGER);
    const to = parameter(request, 'to', Number.MAX_SAFE_INTEGER, 0, Number.MAX_SAFE_INTEGER);
    const { rows } = await database.query<{ seq: string }>(
      'SELECT seq FROM sentinel WHERE seq BETWEEN $1 AND $2 ORDER BY seq LIMIT $3',
      [from, to, mostSentinels],
    );
    return json(200, { seqs: rows.map((row) => Number(row.seq)) });
  },
});
