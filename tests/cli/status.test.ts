import { expect } from 'chai';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { createJournal } from '../../adapters/journal/journal';
import { statusLines } from '../../cli/render/status';
import { lastRun } from '../../cli/status';
import { nextEntry } from '../../failover/journal';
import type { AppReading, ArchiveReading, Observation, Plan, SiteObservation } from '../../failover/model';
import {
  bound,
  change,
  healthy,
  hosts,
  now,
  promoted,
  restored,
  rules,
  serverChange,
  silent,
  value,
} from '../failover/observations';

const server = 'psql-moodtalk-prod';
const paint = (_colour: string, text: string) => text;
const lines = (seen: Observation, at = now) => statusLines(seen, server, at, paint);
const lineOf = (seen: Observation, at = now) => lines(seen, at).find((line) => line.includes(`${server} *`)) ?? '';

describe('what `standby status` says', () => {
  const archiving = (archive: ArchiveReading): Observation => {
    const seen = healthy();
    const reading = seen.servers[server];
    if (!reading || !('value' in reading)) throw new Error(`${server} is not read`);
    return { ...seen, servers: { ...seen.servers, [server]: { ...reading, value: { ...reading.value, archive } } } };
  };

  it('is well where everything is', () => {
    expect(lines(healthy()).filter((line) => /^ +(!!|\?\?)/.test(line))).to.deep.equal([]);
  });

  it('says why the journal can’t be read, beside what it sees of the world', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-status-'));
    const container = (): never => {
      throw new Error('the store is away');
    };
    const journal = createJournal({ environment: { STANDBY_RUNS: folder }, container, warn: () => undefined });
    const last = () => lastRun({ ports: { journal }, holder: async () => undefined });
    expect(await last()).to.deep.equal({ text: 'no run yet' });
    const plan = { kind: 'failover', from: 'prod', to: 'intg', steps: [] } as unknown as Plan;
    await journal.append(nextEntry(undefined, 'run-1', now, { type: 'plan', plan, who: 'eva@home' }));
    expect(await last()).to.include({ run: 'run-1', ended: false });
    fs.appendFileSync(path.join(folder, 'run-1', 'journal.jsonl'), '~\n~\n');
    const { text, unread } = await last();
    expect(text).to.match(/^the journal of run run-1 is not as it was written: line 2/);
    expect(unread).to.equal(true);
    fs.rmSync(folder, { recursive: true });
  });

  it('judges how far the archive of the log is behind', () => {
    const well = { failing: false, pendingBytes: 2 ** 20 };
    expect(lineOf(archiving({ ...well, lagSeconds: 60 }))).to.match(/^ +ok .*archive of the log 60 s behind by 1.0 MB/);
    expect(lineOf(archiving({ ...well, lagSeconds: 61 }))).to.match(/^ +!! .*61 s behind/);
    expect(lineOf(archiving({ lagSeconds: 5, failing: true, pendingBytes: 0 }))).to.match(/^ +!! .*attempt failed/);
    expect(lineOf(archiving({ failing: true, pendingBytes: 9 }))).to.match(/^ +!! .*holds nothing/);
  });

  it('never shows as well what is unknown, old, or was not looked at', () => {
    const seen = healthy();
    expect(lineOf({ ...seen, servers: { [server]: silent('no answer') } })).to.match(/^ +\?\? .*unknown: no answer/);
    expect(lineOf(seen, now + 31_000)).to.match(/^ +\?\? .*too old to be believed/);
    const { lease: _lease, ...rest } = seen;
    expect(lines(rest as Observation).find((line) => line.includes('writer lease'))).to.match(
      /^ +\?\? .*not looked at/,
    );
  });

  it('shows a second server that takes writes, of whatever epoch, and none that is closed', () => {
    const home = { role: 'primary', writable: true, token: { epoch: 1, open: true }, sessions: 12 } as const;
    for (const values of [restored, promoted]) {
      const seen = healthy(values);
      const inUse = rules.productionServers(values).find(({ database }) => database)?.name;
      const lineOfServer = (world: Observation) =>
        statusLines(world, inUse, now, paint).find((line) => line.includes(`${server} `));
      expect(lineOfServer(seen)).to.match(/^ +-- /);
      expect(lineOfServer(serverChange(seen, server, home))).to.match(/^ +!! .*epoch 1 may write.*12 sessions/);
      expect(lineOfServer(serverChange(seen, server, { ...home, writable: false }))).to.match(/^ +-- /);
    }
  });

  const atProd = (seen: Observation, what: Partial<SiteObservation>): Observation =>
    change(seen, { sites: { ...seen.sites, prod: { ...seen.sites.prod, ...what } } });
  /** That line of PROD, which stands before INTG's. */
  const prodLine = (seen: Observation, name: string) => lines(seen).find((line) => line.includes(` ${name} `));

  it('wants an answer of every host from the ingress of the active site, and of none from the other one', () => {
    const fronts = (status: number) => ({
      front: value({ ...Object.fromEntries(Object.values(hosts).map((host) => [host, 200])), [hosts.api]: status }),
    });
    const lineAt = (seen: Observation, status: number) => prodLine(atProd(seen, fronts(status)), 'own ingress');
    expect(lineAt(healthy(), 302)).to.match(/^ +ok .*6 hosts answer/);
    expect(lineAt(healthy(), 0)).to.match(/^ +!! .*api.moodtalk.ch does not answer/);
    for (const status of [404, 503]) {
      expect(lineAt(healthy(), status)).to.match(new RegExp(`^ +!! .*api.moodtalk.ch ${status}`));
    }
    expect(lineAt(healthy(bound), 0)).to.match(/^ +-- /);
  });

  it('wants every application at the active site, and at the other one what was begun there', () => {
    const seen = healthy();
    const { cluster } = seen.sites.prod;
    if (!('value' in cluster)) throw new Error('PROD is silent');
    const { apps } = cluster.value;
    const lineWith = (some: readonly AppReading[], world = seen) =>
      prodLine(atProd(world, { cluster: value({ apps: some }) }), 'workloads');
    const api = (what: Partial<AppReading>) => apps.map((one) => (one.app === 'api' ? { ...one, ...what } : one));
    expect(lineWith(api({ wanted: 0, ready: 0 }))).to.match(/^ +!! .*8 instances ready.*; api is scaled to 0/);
    expect(lineWith(apps.filter(({ app }) => app !== 'api'))).to.match(/^ +!! .*; api is not there/);
    expect(lineWith(api({ ready: 1 }))).to.match(/^ +!! .*; api 1 of 2/);
    expect(lineWith([])).to.match(/^ +!! .*nothing runs; admin is not there/);
    const elsewhere = healthy(bound);
    expect(lineWith(api({ wanted: 0, ready: 0 }), elsewhere)).to.match(/^ +-- /);
    expect(lineWith(api({ ready: 1 }), elsewhere)).to.match(/^ +!! /);
    expect(lineWith([], elsewhere)).to.match(/^ +-- .*nothing runs/);
  });
});
