import { generateX25519Identity } from 'age-encryption';
import { expect } from 'chai';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { createCatalog } from '../../../adapters/backup/catalog';
import { backUpDatabase } from '../../../adapters/backup/dump';
import { identitySet } from '../../../adapters/backup/estate/identity';
import { identitiesOf, type Identities } from '../../../adapters/backup/seal';
import { lossAfter } from '../../../adapters/backup/loss';
import { keepBackup } from '../../../adapters/backup/store';
import type { AdapterContext } from '../../../adapters/context';
import { readVault } from '../../../adapters/observe/kept';
import { admit } from '../../../adapters/postgres/admission';
import type { Defect, Manifest } from '../../../backup/model';
import { manifestName, partName } from '../../../backup/names';
import { folders, repository } from '../../../sandbox/world';
import { TestWorld } from '../../kubernetes/world';
import { refusal, TestServer } from '../postgres';
import { call, Gateway } from './gateway';
import type { Order, Said } from './importer';

const company = 'acme';
const bucket = 'vault';
const shop = 'database/shop';

describe('the import of kept backups', function () {
  this.timeout(240_000);
  const world = new TestWorld(240);
  const source = new TestServer(world, 'psql', 0);
  const target = new TestServer(world, 'psql-new', 1);
  const gateway = new Gateway();
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-scratch-'));
  const key = path.join(scratch, 'age.key');
  let identities: Identities;
  let sold: Manifest;
  let identity: Manifest;

  const signal = () => AbortSignal.timeout(60_000);
  const keeping = () => ({
    ...{ vaults: [gateway.vault(bucket)], retention: { daily: 1, weekly: 1, monthly: 1 }, now: Date.now },
    ...{ recipients: identities.recipients, environment: environment() },
  });
  const environment = () => ({ ...process.env, STANDBY_AGE_IDENTITY_FILE: key, STANDBY_SCRATCH: scratch });
  const take = () => backUpDatabase({ company, jobs: 2, target: source.target, keeping: keeping() }, call());
  const catalog = () => createCatalog(gateway.vault(bucket), company);
  const judge = ({ dataSet, id, recoveryPoint }: Manifest, defect?: Defect, verifiedAt = Date.now()) =>
    catalog().keepVerdict(
      {
        ...{ dataSet, id, recoveryPoint, verifiedAt, vault: 'offsite', seconds: 1, bytes: 1, checks: [] },
        ...(defect ? { defect } : {}),
      },
      call(),
    );

  /** What the stacks tell, as far as this asks: both sites have the one new server. */
  const context = (more: Readonly<Record<string, unknown>> = {}) => {
    const { host, port, user, password, database, identityDatabase } = target.target;
    const site = {
      database: { server: 'psql-acme', serverId: '/psql-acme', fqdn: host, port, user, database },
      identity: { app: 'idp', environmentDomain: 'test', realm: 'acme', database: identityDatabase },
    };
    const recovery = { epoch: 2, site: 'intg', method: 'import', from: 'psql-acme-prod', ...more };
    const switched = { activeSite: 'intg', database: 'restored', identity: 'restored', epoch: 2, stage: 'made' };
    const backup = { databases: [{ name: 'shop', assertions: [] }], vaults: { site: 'intg' } };
    return {
      configuration: { company, ...switched, unreachable: 'prod', recoveries: [recovery], backup },
      landscape: { sites: { prod: site, intg: site }, secrets: { prod: { databasePassword: password } } },
    };
  };
  const observed = (more: Readonly<Record<string, string>> = {}) => {
    const { configuration, landscape } = context();
    const known = { configuration: () => configuration, landscape, environment: { ...environment(), ...more } };
    return readVault(known as unknown as AdapterContext, signal(), gateway.vault(bucket));
  };

  const chosen = (...manifests: readonly Manifest[]): Order['backups'] =>
    Object.fromEntries(manifests.map(({ dataSet, id }) => [dataSet, { id, vault: 'offsite' }]));

  /** @param killAt - the word after which the process is gone. @returns the last that it said. */
  async function carryOut(backups: Order['backups'], killAt?: RegExp, more = {}): Promise<readonly Said[]> {
    const order: Order = { ...context(more), place: gateway.place(bucket), server: 'psql-acme-intg-e2', backups };
    const child = fork(path.join(__dirname, 'importer.ts'), {
      ...{ cwd: repository, execArgv: ['-r', 'ts-node/register/transpile-only'] },
      env: { ...environment(), ...world.env, ...gateway.environment, IMPORT_ORDER: JSON.stringify(order) },
    });
    const said: Said[] = [];
    child.on('message', (one: Said) => {
      said.push(one);
      if (!('progress' in one)) child.disconnect();
      else if (killAt?.test(one.progress)) child.kill('SIGKILL');
    });
    await once(child, 'exit');
    return said;
  }
  const faultOf = (said: readonly Said[]) => {
    const last = said.at(-1);
    return last && 'fault' in last ? last.fault : { code: JSON.stringify(last), exit: '', message: '' };
  };
  const factsOf = (said: readonly Said[]) => {
    const last = said.at(-1);
    if (!last || !('facts' in last)) throw new Error(JSON.stringify(last));
    return last.facts;
  };

  /** As the vendor makes a server: nothing on it; and closed, as the stack makes it. */
  async function renew(): Promise<void> {
    await readOnly('on');
    await target.sql('DROP DATABASE IF EXISTS shop WITH (FORCE)');
    await target.sql('DROP DATABASE IF EXISTS keycloak WITH (FORCE)');
    await target.sql('DROP SCHEMA IF EXISTS standby_plan CASCADE');
  }
  const readOnly = async (on: 'on' | 'off') => {
    await target.sql(`ALTER SYSTEM SET default_transaction_read_only = ${on}`);
    await target.sql('SELECT pg_reload_conf()');
  };
  const rows = async () => (await target.sql('SELECT count(*)::int AS count FROM bookings', 'shop'))[0]?.['count'];

  before(async () => {
    fs.chmodSync(scratch, 0o755);
    await world.modules.authority.createAuthority();
    fs.chmodSync(world.home, 0o711);
    const secret = await generateX25519Identity();
    fs.writeFileSync(key, `${secret}\n`, { mode: 0o600 });
    identities = await identitiesOf([secret]);
    await Promise.all([source.create(), target.create(), gateway.start()]);
    await gateway.bucket(bucket, true);
    await target.sql('ALTER ROLE azuresu SET default_transaction_read_only = off');
    await readOnly('on');
    await admit(source.target, 1, signal());
    await source.sql(
      `CREATE ROLE clerk; ALTER ROLE drpadmin BYPASSRLS;
       CREATE TABLE customers (id bigserial PRIMARY KEY, name text NOT NULL UNIQUE);
       CREATE TABLE bookings (id bigserial PRIMARY KEY, customer bigint NOT NULL REFERENCES customers);
       CREATE TABLE sentinel (seq bigserial PRIMARY KEY, written_at timestamptz NOT NULL DEFAULT clock_timestamp());
       INSERT INTO sentinel SELECT FROM generate_series(1, 3);
       CREATE VIEW busy AS SELECT customer, count(*) FROM bookings GROUP BY 1;
       CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
       ALTER TABLE bookings ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON bookings TO clerk USING (true);
       GRANT SELECT ON customers TO clerk;
       INSERT INTO customers (name) SELECT 'customer ' || i FROM generate_series(1, 200) i;
       INSERT INTO bookings (customer) SELECT 1 + i % 200 FROM generate_series(1, 5000) i`,
      'shop',
    );
    // The next admission hands over what somebody else made.
    await source.sql(
      'ALTER TABLE customers OWNER TO drpadmin; ALTER TABLE bookings OWNER TO drpadmin; ALTER TABLE sentinel OWNER TO drpadmin',
      'shop',
    );
    await admit(source.target, 1, signal());
    await source.sql(fs.readFileSync(path.join(folders.cache, 'keycloak-schema.sql'), 'utf8'), 'keycloak');
    await source.sql(
      `INSERT INTO realm (id, name, enabled) VALUES ('r1', 'acme', true);
       INSERT INTO component (id, name, realm_id, provider_id) VALUES ('c1', 'rsa', 'r1', 'rsa-generated');
       INSERT INTO component_config (id, component_id, name, value) VALUES ('p1', 'c1', 'privateKey', 'a key of this test');
       INSERT INTO user_entity (id, realm_id, username) VALUES ('u1', 'r1', 'eva')`,
      'keycloak',
    );
    await source.sql(
      `DO $$ DECLARE t record; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
       LOOP EXECUTE format('ALTER TABLE public.%I OWNER TO drpadmin', t.tablename); END LOOP; END $$`,
      'keycloak',
    );
    sold = await take();
    const place = { environment: environment(), target: { ...source.target, database: 'keycloak' }, realm: 'acme' };
    const set = identitySet(place);
    const parts = (await set.collect(call())).map(({ name, bytes }) => ({ name, content: bytes }));
    const startedAt = Date.now();
    const taken = {
      company,
      dataSet: 'identity',
      tool: 'pg_dump',
      startedAt,
      recoveryPoint: startedAt,
      parts,
    } as const;
    identity = await keepBackup(taken, keeping(), call());
  });
  after(async () => {
    await gateway.remove();
    await world.modules.process.stop(() => true);
    fs.rmSync(world.home, { recursive: true, force: true });
    fs.rmSync(scratch, { recursive: true, force: true });
  });

  it('empties nothing that it has not filled itself', async () => {
    await target.sql('CREATE TABLE bookings AS SELECT 1 AS id', 'shop');
    const fault = faultOf(await carryOut(chosen(sold)));
    expect(fault).to.include({ code: 'DatabaseExists', exit: 'person' });
    expect(await rows()).to.equal(1);
    const stranger = faultOf(await carryOut(chosen(sold), undefined, { method: 'geoRestore' }));
    expect(stranger.code).to.equal('NotAnImport');
    expect(await rows()).to.equal(1);
  });

  it('fills a closed server, which stays closed, and which works as the source did once it is opened', async () => {
    await renew();
    const { imported } = factsOf(await carryOut(chosen(sold, identity))) as { imported: Record<string, object> };
    const { id, recoveryPoint, facts } = sold;
    const counted = Object.values(facts!.rows).reduce((sum, count) => sum + count, 0);
    expect(imported[shop]).to.include({ id, recoveryPoint, rows: counted });
    expect(imported['identity']).to.include({ id: identity.id });
    expect(await rows()).to.equal(5_000);
    const [found] = await target.sql(`SELECT value FROM component_config`, 'keycloak');
    expect(found).to.deep.equal({ value: 'a key of this test' });
    const closed = await target.session(undefined, 'shop');
    expect(await refusal(closed.query('INSERT INTO customers (name) VALUES ($1)', ['nobody']))).to.equal('25006');
    await closed.end();
    await admit(target.target, 2, signal());
    await readOnly('off');
    const session = await target.session(2);
    await session.query('INSERT INTO bookings (customer) VALUES (7)');
    expect((await session.query('SELECT twice(21) AS n')).rows).to.deep.equal([{ n: 42 }]);
    await session.end();
    expect(await rows()).to.equal(5_001);
    const [granted] = await target.sql(`SELECT has_table_privilege('clerk', 'customers', 'SELECT') AS is`, 'shop');
    expect(granted).to.deep.equal({ is: true });
  });

  it('knows what was written since it was filled: what came from the backup is not lost with that', async () => {
    const live = { ...target.target, database: 'shop' };
    const [moments] = await target.sql(
      `SELECT extract(epoch FROM ended)::float8 * 1000 AS filled, extract(epoch FROM clock_timestamp())::float8 * 1000 AS now
       FROM standby_plan.imported ORDER BY ended DESC LIMIT 1`,
    );
    const { filled, now } = moments as { filled: number; now: number };
    expect(await lossAfter(live, now, signal())).to.deep.include({ rows: { 'shop.bookings': 1 } });
    expect(await lossAfter(live, filled - 1, signal()))
      .to.have.property('unknown')
      .that.matches(/was filled from backups/);
  });

  it('touches nothing of a server that was opened to an epoch', async () => {
    const fault = faultOf(await carryOut(chosen(await take())));
    expect(fault).to.include({ code: 'ServerInUse', exit: 'person' });
    expect(await rows()).to.equal(5_001);
    const again = await carryOut(chosen(sold, identity));
    expect(factsOf(again)).to.have.property('imported');
    expect(await rows()).to.equal(5_001);
  });

  it('ends the same after a kill at any point: what is whole stays, what was cut off begins anew', async () => {
    await readOnly('on');
    const points = [
      /^database\/shop: 1 of \d+ parts/,
      /^database\/shop: 1 of \d+ tables are filled/,
      /^database\/shop: what came is counted/,
    ];
    for (const point of points) {
      await renew();
      const cut = await carryOut(chosen(sold, identity), point);
      expect(JSON.stringify(cut.at(-1)), `cut off at ${point.source}`).to.match(/^{"progress"/);
      const early = await admit(target.target, 2, signal()).catch((cause: { code?: string }) => cause.code);
      expect(early, 'nobody is let into a part').to.equal('ImportUnfinished');
      const said = await carryOut(chosen(sold, identity));
      expect(factsOf(said)).to.have.property('imported');
      expect(await rows()).to.equal(5_000);
      expect(fs.readdirSync(scratch), 'what was opened is gone').to.deep.equal([path.basename(key)]);
    }
    const oid = async () => (await target.sql(`SELECT oid FROM pg_database WHERE datname = 'shop'`))[0]?.['oid'];
    // The database is whole, the identity provider's is not.
    await target.sql(`UPDATE standby_plan.imported SET ended = NULL, facts = NULL WHERE data_set = 'identity'`);
    const before = await oid();
    const said = await carryOut(chosen(sold, identity));
    expect(said).to.deep.include({ progress: `database/shop: backup ${sold.id} was imported before` });
    expect(factsOf(said)).to.have.property('imported');
    expect(await oid()).to.equal(before);
    expect((await target.sql('SELECT count(*)::int AS count FROM user_entity', 'keycloak'))[0]).to.include({
      count: 1,
    });
  });

  it('observes the newest that verified, and imports nothing that is not what was taken', async () => {
    await Promise.all([judge(sold), judge(identity, 'BackupTooOld')]);
    const [hollow, unseen] = [await take(), await take()];
    const clear = await observed();
    expect(clear.dataSets[shop]).to.deep.include({ skipped: { NeverVerified: 3 } });
    await judge(hollow);
    const newest = { id: hollow.id, vault: 'offsite', recoveryPoint: hollow.recoveryPoint };
    expect((await observed()).dataSets[shop]?.newest).to.include(newest);
    expect((await observed()).dataSets['identity']?.newest?.id).to.equal(identity.id);
    expect(await observed()).not.to.have.property('sealed');
    expect((await observed({ STANDBY_AGE_IDENTITY_FILE: '' })).sealed).to.match(/STANDBY_AGE_IDENTITY_FILE is not set/);

    // It says of itself that it has more rows than come out of it.
    const file = gateway.file(bucket, manifestName(company, shop, hollow.id));
    const rowsSaid = { ...hollow.facts!.rows, 'public.bookings': 5_002 };
    fs.writeFileSync(file, JSON.stringify({ ...hollow, facts: { ...hollow.facts, rows: rowsSaid } }));
    await renew();
    const fault = faultOf(await carryOut(chosen(hollow)));
    expect(fault).to.include({ code: 'BackupWithoutData', exit: 'person' });
    expect(fault.message).to.match(/public\.bookings 5000 of 5002/);
    // What was found is kept, so the next plan passes it over.
    expect((await observed()).dataSets[shop]).to.deep.include({
      skipped: { NeverVerified: 2, BackupWithoutData: 1 },
    });
    expect((await observed()).dataSets[shop]?.newest?.id).to.equal(sold.id);

    await judge(unseen);
    const part = [...unseen.parts].sort((one, other) => other.bytes - one.bytes)[0]!;
    fs.truncateSync(gateway.file(bucket, partName(company, shop, unseen.id, part.name)), 40);
    await renew();
    expect(faultOf(await carryOut(chosen(unseen))).code).to.equal('BackupTruncated');
    const begun = await target.sql('SELECT data_set, ended FROM standby_plan.imported');
    expect(begun).to.deep.equal([{ data_set: shop, ended: null }]);
  });
});
