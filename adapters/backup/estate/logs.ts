/**
 * Data set `logs`: the rows that both sites' workspaces took in since the last backup of them, table by table. In a vault nobody can
 * change them before their time. A workspace takes no rows back: they come back as files, one JSON object a line.
 */
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { z } from 'zod';
import type { Instant } from '../../../backup/model';
import type { Difference, EstateFile, EstateSet } from '../../../backup/estate/set';
import type { Call } from '../../../backup/ports';
import { sites, type Site } from '../../../config/fields';
import { StandbyError } from '../../../failover/errors';
import { within } from '../../../failover/within';
import { apiVersions, cloudOf } from '../../azure/cloud';
import type { AdapterContext } from '../../context';
import { exchange, passing, waitAsked } from '../../http';
import { Passing, trying } from '../../patience';
import { credentialOf } from '../../store/client';
import { listAll } from './azure';
import { jsonFile, readJsonFile } from './files';

const endpoint = 'https://api.loganalytics.azure.com';
const scope = 'https://api.loganalytics.io/.default';
const indexFile = 'index.json';
/** The vendor answers a query within three minutes, with 500,000 rows and 100 MB at most; an answer here is far smaller. */
const queryMs = 180_000;
const rowsAtOnce = 5_000;
/** Rows of the last minutes are still on their way into the tables. */
const settlingMs = 5 * 60_000;
/** In which no table takes in more rows than one answer holds. */
const shortestMs = 10;

const indexSchema = z.object({
  from: z.number(),
  to: z.number(),
  tables: z.array(z.object({ site: z.enum(sites), table: z.string(), rows: z.number(), file: z.string() })),
});

const pack = promisify(gzip);
const unpack = promisify(gunzip);

export interface LogsOptions {
  /** Rows that were taken in since then. */
  readonly since: Instant;
  readonly now: Instant;
}

export function logsSet(context: AdapterContext, { since, now }: LogsOptions): EstateSet {
  const to = Math.max(since, now - settlingMs);
  return {
    dataSet: 'logs',
    tool: 'Azure Monitor logs query API v1',
    // Where the next one begins.
    recoveryPoint: to,
    collect: (call) => collect(context, { from: since, to }, call),
    compare: (files, call) => compare(context, files, call),
  };
}

interface Range {
  readonly from: Instant;
  readonly to: Instant;
}

type Row = Readonly<Record<string, unknown>>;

async function collect(context: AdapterContext, range: Range, call: Call): Promise<readonly EstateFile[]> {
  const files: EstateFile[] = [];
  const tables: z.infer<typeof indexSchema>['tables'] = [];
  for (const site of sites) {
    const workspace = await workspaceOf(context, site, call.signal);
    const counts = await countsOf(context, workspace, range, call.signal);
    for (const [table, rows] of counts) {
      call.progress(`${rows} rows of ${table} at ${site}`);
      const file = `${site}/${table}.jsonl.gz`;
      const lines: string[] = [];
      for await (const row of rowsOf(context, workspace, table, range, rows, call.signal))
        lines.push(JSON.stringify(row));
      files.push({ name: file, bytes: await pack(`${lines.join('\n')}\n`) });
      tables.push({ site, table, rows, file });
    }
  }
  return [jsonFile(indexFile, { ...range, tables }), ...files];
}

/** @throws StandbyError NoWorkspace */
async function workspaceOf({ environment, landscape }: AdapterContext, site: Site, signal: AbortSignal) {
  const path = `${landscape.sites[site].resourceGroup.id}/providers/Microsoft.OperationalInsights/workspaces`;
  const found = await listAll(cloudOf({ environment }), path, apiVersions.workspaces, signal);
  const [first] = z.array(z.looseObject({ properties: z.looseObject({ customerId: z.string() }) })).parse(found);
  if (first && found.length === 1) return first.properties.customerId;
  throw new StandbyError(
    'NoWorkspace',
    `${site} has ${found.length} log workspaces, needed is one: \`pulumi up -s ${site}\``,
  );
}

const time = (at: Instant) => `datetime(${new Date(at).toISOString()})`;
const taken = ({ from, to }: Range) => `where ingestion_time() >= ${time(from)} and ingestion_time() < ${time(to)}`;
const plainName = /^\w+$/;

async function countsOf(context: AdapterContext, workspace: string, range: Range, signal: AbortSignal) {
  const text = `union withsource=StandbyTable * | ${taken(range)} | summarize StandbyRows=count() by StandbyTable`;
  const rows = await query(context, workspace, text, signal);
  return rows
    .map(({ StandbyTable: table, StandbyRows: count }): [string, number] => [String(table), Number(count)])
    .filter(([table, count]) => plainName.test(table) && count > 0)
    .sort(([one], [other]) => (one < other ? -1 : 1));
}

async function countOf(context: AdapterContext, workspace: string, table: string, range: Range, signal: AbortSignal) {
  const rows = await query(context, workspace, `${table} | ${taken(range)} | summarize StandbyRows=count()`, signal);
  return Number(rows[0]?.['StandbyRows'] ?? NaN);
}

/** Halves the time until an answer is small, and counts what comes: half a table is none. */
async function* rowsOf(
  context: AdapterContext,
  workspace: string,
  table: string,
  range: Range,
  count: number,
  signal: AbortSignal,
): AsyncGenerator<Row> {
  if (count === 0) return;
  const rows =
    count <= rowsAtOnce
      ? await query(context, workspace, `${table} | ${taken(range)}`, signal).catch(unlessLarge)
      : undefined;
  if (rows && rows.length !== count) throw incomplete(table, rows.length, count);
  if (rows) return yield* rows;
  if (range.to - range.from <= shortestMs) throw incomplete(table, rowsAtOnce, count);
  const middle = Math.floor((range.from + range.to) / 2);
  const halves = [
    { from: range.from, to: middle },
    { from: middle, to: range.to },
  ];
  let sum = 0;
  for (const half of halves) {
    const own = await countOf(context, workspace, table, half, signal);
    sum += own;
    yield* rowsOf(context, workspace, table, half, own, signal);
  }
  if (sum !== count) throw incomplete(table, sum, count);
}

const tooLarge = 'LogsTooLarge';
/** A few long rows may be more than one answer takes: then fewer are asked for. */
function unlessLarge(cause: unknown): undefined {
  if (!(cause instanceof StandbyError) || cause.code !== tooLarge) throw cause;
}

const incomplete = (table: string, got: number, count: number) =>
  new StandbyError('LogsIncomplete', `of ${count} rows of ${table} ${got} came: nothing was kept; try again`, {
    retryable: true,
  });

const answerSchema = z.object({
  tables: z
    .array(z.object({ columns: z.array(z.object({ name: z.string() })), rows: z.array(z.array(z.unknown())) }))
    .min(1),
  // Some of it is missing: the vendor says so with a status of 200.
  error: z.looseObject({ code: z.string() }).optional(),
});

/** @throws StandbyError LogsUnread, retryable where waiting may help. */
async function query(
  { environment }: AdapterContext,
  workspace: string,
  text: string,
  signal: AbortSignal,
): Promise<readonly Row[]> {
  const credential = credentialOf(environment);
  const url = `${environment['STANDBY_LOGS_ENDPOINT'] ?? endpoint}/v1/workspaces/${workspace}/query`;
  return trying({ signal }, async () => {
    const token = await credential.getToken(scope, { abortSignal: within(queryMs, signal) }).catch((cause: unknown) => {
      if (signal.aborted) throw signal.reason;
      throw cause instanceof StandbyError ? cause : unread(`no token: ${(cause as Error).name}`, false, cause);
    });
    const headers = { authorization: `Bearer ${token?.token ?? ''}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ query: text });
    const answer = await exchange(url, { method: 'POST', headers, body, signal, withinMs: queryMs }).catch(
      (cause: unknown) => {
        if (signal.aborted) throw signal.reason;
        const { message } = cause as Error;
        if (message.startsWith('an answer of more than')) throw new StandbyError(tooLarge, message, { cause });
        throw new Passing(unread(`no answer: ${message}`, true));
      },
    );
    if (answer.status !== 200) {
      const fault = unread(`status ${answer.status}`, passing(answer.status));
      throw fault.retryable ? new Passing(fault, waitAsked(answer)) : fault;
    }
    const { tables, error } = answerSchema.parse(JSON.parse(answer.text));
    if (error) throw unread(error.code, true);
    const { columns, rows } = tables[0]!;
    return rows.map((row) => Object.fromEntries(columns.map(({ name }, index) => [name, row[index]])));
  });
}

const unread = (why: string, retryable: boolean, cause?: unknown) =>
  new StandbyError('LogsUnread', `the logs can't be read (${why}): the credentials need Log Analytics Data Reader`, {
    retryable,
    cause,
  });

/** Rows that are past the workspace's own time are missing there, which is what the copy is for. */
async function compare(context: AdapterContext, files: readonly EstateFile[], { signal }: Call): Promise<Difference[]> {
  const { tables, ...range } = readJsonFile(files, indexFile, (value) => indexSchema.parse(value));
  const found = tables.map(async ({ site, table, rows, file }): Promise<Difference[]> => {
    const what = `rows of ${table} at ${site}`;
    const bytes = files.find(({ name }) => name === file)?.bytes;
    const kept = bytes ? (await unpack(bytes)).toString('utf8').split('\n').filter(Boolean).length : 0;
    if (kept !== rows) {
      throw new StandbyError(
        'BackupIncomplete',
        `the backup has ${kept} ${what}, it should have ${rows}: take another`,
      );
    }
    const now = await countOf(context, await workspaceOf(context, site, signal), table, range, signal);
    const detail = `${now} there, ${rows} in the backup`;
    return now === rows ? [] : [{ what, how: now < rows ? 'missing' : 'extra', detail }];
  });
  return (await Promise.all(found)).flat();
}
