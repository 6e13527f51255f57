import { expect } from 'chai';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { Parts, subscription, textOf, world } from './estateParts';
import type { Sent, World } from './estateOperator';

const group = (site: string) => `/subscriptions/${subscription}/resourceGroups/rg-moodtalk-${site}`;
const hour = 3_600_000;
const start = Date.parse('2026-11-20T00:00:00Z');

interface Row {
  readonly at: number;
  readonly text: string;
}

/**
 * The query API as its vendor documents it. There is no such engine outside Azure, so it knows the few queries that the collector may
 * ask, and refuses every other one as the vendor refuses what it can't parse.
 */
class QueryApi {
  readonly tables = new Map<string, Row[]>();
  readonly asked: { readonly workspace: string; readonly query: string; readonly rows: number }[] = [];
  hides = 0;
  private readonly server = http.createServer((request, response) => void this.answer(request, response));

  listen = () => new Promise<void>((resolve) => this.server.listen(0, '127.236.30.60', resolve));
  close = () => this.server.close();
  get endpoint(): string {
    return `http://127.236.30.60:${(this.server.address() as AddressInfo).port}`;
  }

  private async answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { query } = JSON.parse(Buffer.concat(chunks).toString()) as { query: string };
    const workspace = /^\/v1\/workspaces\/([0-9a-f-]{36})\/query$/.exec(request.url ?? '')?.[1] ?? '';
    const found = request.headers.authorization?.startsWith('Bearer ') ? this.find(workspace, query) : undefined;
    const send = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (!found) return void send(400, { error: { code: 'BadArgumentError', message: query } });
    const { columns, rows } = found;
    this.asked.push({ workspace, query, rows: rows.length });
    send(200, {
      tables: [{ name: 'PrimaryResult', columns: columns.map((name) => ({ name, type: 'string' })), rows }],
    });
  }

  private find(workspace: string, query: string) {
    const when = /where ingestion_time\(\) >= datetime\((\S+)\) and ingestion_time\(\) < datetime\((\S+)\)/.exec(query);
    if (!when) return undefined;
    const [from, to] = [Date.parse(when[1]!), Date.parse(when[2]!)];
    const within = (table: string) =>
      (this.tables.get(`${workspace}/${table}`) ?? []).filter(({ at }) => at >= from && at < to);
    const [first, , last] = query.split(' | ');
    if (first === 'union withsource=StandbyTable *') {
      const own = [...this.tables.keys()].filter((key) => key.startsWith(`${workspace}/`)).map((key) => key.slice(37));
      return { columns: ['StandbyTable', 'StandbyRows'], rows: own.map((table) => [table, within(table).length]) };
    }
    const rows = within(first ?? '');
    if (last === 'summarize StandbyRows=count()') return { columns: ['StandbyRows'], rows: [[rows.length]] };
    if (last !== undefined) return undefined;
    const shown = rows.slice(this.hides).map(({ at, text }) => [new Date(at).toISOString(), text]);
    return { columns: ['TimeGenerated', 'Message'], rows: shown };
  }
}

describe('adapters/backup/estate: logs', function () {
  this.timeout(120_000);
  const api = new QueryApi();
  let parts: Parts;
  const workspaces: string[] = [];
  const at = (now: number, since = start): World => ({ ...world, logs: { since, now } });
  const rowsIn = (files: Sent, name: string) =>
    gunzipSync(Buffer.from(files.find((file) => file.name === name)?.bytes ?? '', 'base64'))
      .toString()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, string>);
  const faultOf = (act: Promise<unknown>) =>
    act.then(
      () => 'done',
      (cause: Error) => cause.message,
    );

  before(async () => {
    await api.listen();
    parts = await new Parts(236).start({ STANDBY_LOGS_ENDPOINT: api.endpoint });
    for (const site of ['prod', 'intg']) {
      await parts.put(group(site), '2021-04-01', { location: site === 'prod' ? 'westeurope' : 'northeurope' });
      const path = `${group(site)}/providers/Microsoft.OperationalInsights/workspaces/log-moodtalk-${site}`;
      await parts.put(path, '2023-09-01', { location: 'westeurope', properties: { retentionInDays: 92 } });
      workspaces.push(String((await parts.get(path, '2023-09-01')).properties['customerId']));
    }
    const many = Array.from({ length: 12_000 }, (_, index) => ({ at: start + index * 250, text: `request ${index}` }));
    api.tables.set(`${workspaces[0]}/ContainerLogV2`, many);
    api.tables.set(`${workspaces[0]}/Heartbeat`, [
      { at: start - 1, text: 'before' },
      { at: start, text: 'first' },
    ]);
    api.tables.set(`${workspaces[1]}/Heartbeat`, [{ at: start + 2 * hour, text: 'still on its way' }]);
  });
  after(async () => {
    api.close();
    await parts.remove();
  });

  it('are every row that was taken in since the last copy, in answers that are small', async () => {
    const files = await parts.collect('logs', at(start + 2 * hour));
    expect(files.map(({ name }) => name)).to.deep.equal([
      'index.json',
      'prod/ContainerLogV2.jsonl.gz',
      'prod/Heartbeat.jsonl.gz',
    ]);
    const rows = rowsIn(files, 'prod/ContainerLogV2.jsonl.gz');
    expect(rows).to.have.length(12_000);
    expect(rows[11_999]).to.deep.equal({ TimeGenerated: '2026-11-20T00:49:59.750Z', Message: 'request 11999' });
    expect(rowsIn(files, 'prod/Heartbeat.jsonl.gz').map(({ Message }) => Message)).to.deep.equal(['first']);
    expect(Math.max(...api.asked.map((one) => one.rows))).to.be.at.most(5_000);
    const index = JSON.parse(textOf(files, 'index.json')) as { from: number; to: number };
    // The next copy begins where rows were no longer on their way.
    expect(index).to.include({ from: start, to: start + 2 * hour - 5 * 60_000 });
    expect(await parts.compare('logs', files, at(0))).to.deep.equal([]);
  });

  it('are asked for in smaller parts when their rows are long', async () => {
    const long = Array.from({ length: 12 }, (_, index) => ({
      at: start + hour + index * 60_000,
      text: 'x'.repeat(2e6),
    }));
    api.tables.set(`${workspaces[1]}/Long`, long);
    const files = await parts.collect('logs', at(start + 2 * hour, start + hour));
    expect(rowsIn(files, 'intg/Long.jsonl.gz')).to.have.length(12);
    api.tables.delete(`${workspaces[1]}/Long`);
  });

  it('outlive the workspace’s own time', async () => {
    const files = await parts.collect('logs', at(start + 2 * hour));
    const kept = api.tables.get(`${workspaces[0]}/ContainerLogV2`)!;
    api.tables.set(`${workspaces[0]}/ContainerLogV2`, kept.slice(4_000));
    expect(await parts.compare('logs', files, at(0))).to.deep.equal([
      { what: 'rows of ContainerLogV2 at prod', how: 'missing', detail: '8000 there, 12000 in the backup' },
    ]);
    api.tables.set(`${workspaces[0]}/ContainerLogV2`, kept);
  });

  it('are not kept when a row of them did not come', async () => {
    api.hides = 1;
    expect(await faultOf(parts.collect('logs', at(start + 2 * hour)))).to.match(
      /^LogsIncomplete: of \d+ rows of ContainerLogV2/,
    );
    api.hides = 0;
  });
});
