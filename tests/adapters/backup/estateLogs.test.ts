import { expect } from 'chai';
import { gunzipSync } from 'node:zlib';
import { QueryApi } from './logsApi';
import { Parts, subscription, textOf, world } from './estateParts';
import type { Sent, World } from './estateOperator';

const group = (site: string) => `/subscriptions/${subscription}/resourceGroups/rg-moodtalk-${site}`;
const hour = 3_600_000;
const start = Date.parse('2026-11-20T00:00:00Z');

describe('adapters/backup/estate: logs', function () {
  this.timeout(120_000);
  const api = new QueryApi('127.236.30.60');
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
