import { generateX25519Identity } from 'age-encryption';
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { createCatalog } from '../../../adapters/backup/catalog';
import { backUpDatabase } from '../../../adapters/backup/dump';
import { identitiesOf, type Identities } from '../../../adapters/backup/seal';
import { removeLeftovers } from '../../../adapters/backup/scratch';
import { createThrowAway } from '../../../adapters/backup/throwaway';
import { verifyBackup } from '../../../adapters/backup/verify';
import type { DatabaseFacts, Manifest, Part, Verdict } from '../../../backup/model';
import { partName } from '../../../backup/names';
import type { ThrowAwayServer } from '../../../backup/ports';
import type { Expected } from '../../../backup/verdict';
import { repository } from '../../../sandbox/world';
import { TestWorld, until } from '../../kubernetes/world';
import { TestServer } from '../postgres';
import { call, Gateway } from './gateway';

const company = 'acme';
const bucket = 'vault';
const minuteMs = 60_000;
const enough = { name: 'bookings', sql: 'SELECT count(*) FROM bookings', atLeast: 500 };

describe('restore checks', function () {
  this.timeout(180_000);
  const world = new TestWorld(230);
  const server = new TestServer(world, 'psql', 0);
  const gateway = new Gateway();
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-scratch-'));
  const environment = { ...process.env, STANDBY_SCRATCH: scratch };
  let identities: Identities;
  let throwAway: ThrowAwayServer;
  let sound: Manifest;

  before(async () => {
    fs.chmodSync(scratch, 0o755);
    await world.modules.authority.createAuthority();
    fs.chmodSync(world.home, 0o711);
    identities = await identitiesOf([await generateX25519Identity(), await generateX25519Identity()]);
    await Promise.all([server.create(), gateway.start()]);
    await gateway.bucket(bucket, true);
    throwAway = await createThrowAway(environment, call());
    await server.sql('CREATE DATABASE other', 'postgres');
    await server.sql('CREATE DATABASE void', 'postgres');
    await server.sql('CREATE TABLE things AS SELECT generate_series(1, 10) AS id', 'other');
    await server.sql(
      `CREATE TABLE customers (id bigserial PRIMARY KEY, name text NOT NULL UNIQUE);
       CREATE TABLE bookings (id bigserial PRIMARY KEY, customer bigint NOT NULL REFERENCES customers, at timestamptz DEFAULT now());
       CREATE TABLE "Odd name" (LIKE customers INCLUDING ALL) ;
       CREATE VIEW busy AS SELECT customer, count(*) FROM bookings GROUP BY 1;
       CREATE TABLE sentinel (seq bigint PRIMARY KEY, written_at timestamptz NOT NULL);
       CREATE ROLE clerk; ALTER TABLE bookings ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON bookings TO clerk USING (true);
       ALTER ROLE drpadmin BYPASSRLS;
       INSERT INTO customers (name) SELECT 'customer ' || i FROM generate_series(1, 200) i;
       INSERT INTO bookings (customer) SELECT 1 + i % 200 FROM generate_series(1, 600) i;
       INSERT INTO sentinel SELECT i, now() FROM generate_series(1, 7) i`,
      'shop',
    );
    sound = await take();
  });
  after(async () => {
    await throwAway?.remove();
    await gateway.remove();
    await world.modules.process.stop(() => true);
    fs.rmSync(world.home, { recursive: true, force: true });
    fs.rmSync(scratch, { recursive: true, force: true });
  });

  const take = (database = 'shop') =>
    backUpDatabase(
      {
        ...{ company, jobs: 2, target: { ...server.target, database } },
        keeping: {
          ...{ vaults: [gateway.vault(bucket)], retention: { daily: 1, weekly: 1, monthly: 1 }, now: Date.now },
          ...{ recipients: identities.recipients, environment },
        },
      },
      call(),
    );

  interface Change {
    readonly expected?: Partial<Expected>;
    readonly others?: readonly Manifest[];
    readonly verdicts?: readonly Verdict[];
    readonly full?: boolean;
    readonly later?: number;
    readonly identities?: Identities;
  }
  const verify = (manifest: Manifest, change: Change = {}) =>
    verifyBackup(
      {
        ...{ vault: gateway.vault(bucket), manifest, environment, jobs: 2, server: async () => throwAway },
        ...{ others: change.others ?? [], verdicts: change.verdicts ?? [], full: change.full ?? false },
        expected: { database: 'shop', assertions: [enough], recoveryPointMinutes: 60, ...change.expected },
        identities: change.identities ?? identities,
        now: () => Date.now() + (change.later ?? 0),
      },
      call(),
    );
  const failed = ({ checks }: Verdict) => checks.filter(({ passed }) => !passed).map(({ name }) => name);

  /** Changes a part where it lies, behind the storage's back, and looks at the backup. */
  const damaged = async (manifest: Manifest, act: (file: string, bytes: number) => void, change: Change = {}) => {
    // Of rows: the table of contents is opened in any case.
    const [part] = manifest.parts.filter(({ name }) => name !== 'toc.dat').sort((a, b) => b.bytes - a.bytes) as [Part];
    const file = gateway.file(bucket, partName(company, manifest.dataSet, manifest.id, part.name));
    const before = fs.readFileSync(file);
    act(file, part.bytes);
    try {
      const verdict = await verify(manifest, change);
      return [verdict.defect, failed(verdict)];
    } finally {
      // As it was, its attributes too.
      fs.truncateSync(file);
      fs.writeFileSync(file, before);
    }
  };
  const flip = (at: (bytes: number) => number) => (file: string, bytes: number) => {
    const content = fs.readFileSync(file);
    content[at(bytes)]! ^= 1;
    fs.writeFileSync(file, content);
  };

  it('says of a sound backup what was asked, and leaves nothing behind', async () => {
    const verdict = await verify(sound);
    expect(verdict.checks.filter(({ passed }) => !passed)).to.deep.equal([]);
    expect(verdict).to.not.have.property('defect');
    expect(verdict.checks.map(({ name }) => name)).to.include.members([
      'restore',
      'schema',
      'rows',
      'sentinel',
      'foreign keys',
      'assertion bookings',
      'age',
    ]);
    expect(sound.facts).to.deep.include({ database: 'shop', sentinel: 7 });
    expect(sound.facts!.rows).to.deep.include({ 'public.bookings': 600, 'public.Odd name': 0 });
    expect(fs.readdirSync(scratch).filter((name) => !name.startsWith('standby-throwaway'))).to.deep.equal([]);
    const catalog = createCatalog(gateway.vault(bucket), company);
    await catalog.keepVerdict(verdict, call());
    expect(await catalog.verdicts('database/shop', call())).to.deep.equal([verdict]);
    expect(await catalog.manifests('database/shop', call())).to.deep.equal([sound]);
  });

  it('takes rows and facts in one snapshot, while others write', async () => {
    let writing = true;
    const writer = (async () => {
      while (writing) await server.sql('INSERT INTO sentinel SELECT max(seq) + 1, now() FROM sentinel', 'shop');
    })();
    const manifest = await take();
    writing = false;
    await writer;
    expect(await verify(manifest)).to.not.have.property('defect');
  });

  it('BackupTruncated: a part that was cut, is empty, or is gone', async () => {
    for (const left of [0, 1, 300]) {
      const found = await damaged(sound, (file, bytes) => fs.truncateSync(file, Math.min(left, bytes - 20)));
      expect(found).to.deep.equal(['BackupTruncated', ['parts']]);
    }
    expect(await damaged(sound, (file, bytes) => fs.truncateSync(file, bytes - 1))).to.deep.equal([
      'BackupTruncated',
      ['parts'],
    ]);
    const gone = await take('other');
    const part = gone.parts.find(({ name }) => name !== 'toc.dat')!;
    fs.rmSync(gateway.file(bucket, partName(company, gone.dataSet, gone.id, part.name)));
    expect(await verify(gone, { expected: { database: 'other', assertions: [] } })).to.include({
      defect: 'BackupTruncated',
    });
  });

  it('BackupCorrupt: a bit that was flipped, wherever it is', async () => {
    for (const at of [() => 3, (bytes: number) => bytes >> 1, (bytes: number) => bytes - 1]) {
      expect(await damaged(sound, flip(at))).to.deep.equal(['BackupCorrupt', ['parts']]);
    }
    expect(await verify(sound)).to.not.have.property('defect');
  });

  it('BackupNotReadable: a key that is none of its recipients', async () => {
    const stranger = await identitiesOf([await generateX25519Identity()]);
    expect(await verify(sound, { identities: stranger })).to.include({ defect: 'BackupNotReadable' });
  });

  it('BackupEmpty: a dump of a database without rows', async () => {
    const verdict = await verify(await take('void'), { expected: { database: 'void', assertions: [] } });
    expect(verdict).to.include({ defect: 'BackupEmpty' });
  });

  it('BackupOfWrongDatabase: a dump of another one, or of another server’s', async () => {
    expect(await verify(await take('other'))).to.include({ defect: 'BackupOfWrongDatabase' });
    const verdict = await verify(sound, { expected: { system: '1' } });
    expect([verdict.defect, failed(verdict)]).to.deep.equal(['BackupOfWrongDatabase', ['server']]);
    expect(await verify(sound, { expected: { system: sound.facts!.system } })).to.not.have.property('defect');
  });

  it('holds what was restored against what the source said', async () => {
    const facts = sound.facts!;
    const told = (other: Partial<DatabaseFacts>) => verify({ ...sound, facts: { ...facts, ...other } });
    const rows = { ...facts.rows, 'public.bookings': 601 };
    expect(await told({ rows })).to.include({ defect: 'BackupWithoutData' });
    expect(failed(await told({ rows, sentinel: 8, schema: '0'.repeat(64) }))).to.deep.equal([
      'schema',
      'rows',
      'sentinel',
    ]);
  });

  it('BackupTooOld: older than what is promised', async () => {
    const verdict = await verify(sound, { later: 61 * minuteMs });
    expect([verdict.defect, failed(verdict)]).to.deep.equal(['BackupTooOld', ['age']]);
  });

  it('does not restore the same contents again, but reads them; and does when it is told to, or is asked anew', async () => {
    const [first, again] = [await take(), await take()];
    expect(first.content).to.equal(again.content);
    const verdicts = [await verify(first, { full: true })];
    const known = { others: [first, again], verdicts };
    expect(await verify(again, known))
      .to.include({ reused: again.parts.length })
      .and.not.have.property('defect');
    expect(await verify(again, { ...known, full: true })).to.not.have.property('reused');
    expect(await verify(again, { ...known, expected: { assertions: [] } })).to.not.have.property('reused');
    expect(await verify(again, { ...known, later: 8 * 1_440 * minuteMs })).to.not.have.property('reused');
    expect(
      await damaged(
        again,
        flip((bytes) => bytes - 1),
        known,
      ),
    ).to.deep.equal(['BackupCorrupt', ['parts']]);
    await server.sql("UPDATE customers SET name = 'another' WHERE id = 1", 'shop');
    expect(await verify(await take(), known)).to.not.have.property('reused');
  });

  it('BackupWithoutData: a dump that is fine, of a table that was emptied', async () => {
    await server.sql('TRUNCATE bookings', 'shop');
    const hollow = await take();
    const verdict = await verify(hollow);
    expect([verdict.defect, failed(verdict)]).to.deep.equal(['BackupWithoutData', ['assertion bookings']]);
    const unasked = await verify(hollow, { expected: { assertions: [], before: sound.facts!.rows } });
    expect([unasked.defect, failed(unasked)]).to.deep.equal(['BackupWithoutData', ['rows as before']]);
  });

  it('misses no partition that went in its time, but a table that lost them all', async () => {
    await server.sql(
      `CREATE TABLE events (at date NOT NULL) PARTITION BY RANGE (at);
       CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
       CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
       INSERT INTO events SELECT date '2025-12-01' + i % 60 FROM generate_series(1, 240) i`,
      'shop',
    );
    const { rows: before } = (await take()).facts!;
    expect(before)
      .to.include({ 'public.events': 240 })
      .and.not.have.any.keys('public.events_2025', 'public.events_2026');
    const expected = { assertions: [], before };
    await server.sql('DROP TABLE events_2025', 'shop');
    expect(await verify(await take(), { expected })).to.not.have.property('defect');
    await server.sql('DROP TABLE events_2026', 'shop');
    expect(failed(await verify(await take(), { expected }))).to.deep.equal(['rows as before']);
  });

  it('leaves no server behind: what a killed check left is removed by the next', async () => {
    const script = `
      require('ts-node/register/transpile-only');
      const { createThrowAway } = require('./adapters/backup/throwaway');
      createThrowAway(process.env, { signal: new AbortController().signal, progress() {} }).then(({ host }) => console.log(host));`;
    const child = spawn(process.execPath, ['-e', script], {
      ...{ cwd: repository, stdio: ['ignore', 'pipe', 'inherit'], env: environment },
    });
    const [said] = (await once(child.stdout, 'data')) as [Buffer];
    const folder = said.toString().trim();
    const pid = Number(fs.readFileSync(path.join(folder, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await until('its server has ended', async () => !fs.existsSync(`/proc/${pid}`) || undefined, 10_000);
    expect(fs.existsSync(folder)).to.equal(true);
    await removeLeftovers(scratch);
    expect(fs.existsSync(folder)).to.equal(false);
    expect(fs.existsSync(throwAway.host)).to.equal(true);
  });
});
