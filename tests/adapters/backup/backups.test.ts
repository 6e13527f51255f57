import { generateX25519Identity } from 'age-encryption';
import { expect } from 'chai';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Backups } from '../../../adapters/backup/backups';
import { chooseBackup, keepSet } from '../../../adapters/backup/estate/keep';
import { identitiesOf, type Identities } from '../../../adapters/backup/seal';
import { mediumVault } from '../../../adapters/backup/vaults/offline';
import type { AdapterContext } from '../../../adapters/context';
import type { EstateSet } from '../../../backup/estate/set';
import type { Vault } from '../../../backup/ports';
import { estateWanted } from '../../../config/dataSets';
import { loadFailover } from '../../../config/loader';
import { program } from '../../../sandbox/azure/postgres/programs';
import { TestWorld } from '../../kubernetes/world';
import { planOf, raw } from '../../stacks/engine';
import { TestServer } from '../postgres';
import { call, Gateway, namesIn, outcome } from './gateway';

const bucket = 'offsite';
const company = String(planOf('failover')['company']);

describe('standby backup', function () {
  this.timeout(180_000);
  const world = new TestWorld(232);
  const server = new TestServer(world, 'psql', 0);
  const gateway = new Gateway();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-backups-'));
  const asked = path.join(folder, 'asked');
  let site: Vault;
  let backups: Backups;
  let openBackups: (...all: readonly [site: Vault, ...others: Vault[]]) => Backups;
  let identities: Identities;
  let later = 0;

  before(async () => {
    fs.chmodSync(folder, 0o755);
    await world.modules.authority.createAuthority();
    fs.chmodSync(world.home, 0o711);
    await Promise.all([server.create(), gateway.start()]);
    await gateway.bucket(bucket, true);
    await gateway.bucket('open', false);
    const keys = [await generateX25519Identity(), await generateX25519Identity()];
    const identityFile = path.join(folder, 'identity');
    fs.writeFileSync(identityFile, keys.join('\n'), { mode: 0o600 });
    const databases = ['shop', 'keycloak', 'gone'].map((name) => ({
      name,
      assertions: [{ name: 'rows', sql: 'SELECT count(*) FROM things', atLeast: 1 }],
    }));
    identities = await identitiesOf(keys);
    const { recipients } = identities;
    const vaults = { offline: { label: 'tape' } };
    const backup = {
      recoveryPointMinutes: 60,
      recipients,
      databases,
      vaults,
      retention: { daily: 1, weekly: 1, monthly: 1 },
    };
    const configuration = loadFailover(raw({ ...planOf('failover'), backup }));
    const environment = {
      ...{ PATH: process.env['PATH'], STANDBY_SCRATCH: folder, STANDBY_AGE_IDENTITY_FILE: identityFile },
      STANDBY_POSTGRES_BIN: recorder(),
    };
    const context = { configuration: () => configuration, environment } as unknown as AdapterContext;
    const traits = { name: 'intg', medium: 'azure-blob', offsite: false, offline: false } as const;
    site = { ...mediumVault('intg', path.join(folder, 'site')), traits };
    const offsite = gateway.vault(bucket);
    const target = (database: string) => ({ ...server.target, database });
    const now = () => Date.now() + later;
    backups = new Backups(context, { site, offsite, all: [site, offsite] }, target, now);
    openBackups = (...all) => new Backups(context, { site: all[0], all }, target, now);
    for (const database of ['shop', 'keycloak']) {
      await server.sql('CREATE TABLE things AS SELECT generate_series(1, 10) AS id', database);
    }
  });
  after(async () => {
    await gateway.remove();
    await world.modules.process.stop(() => true);
    fs.rmSync(world.home, { recursive: true, force: true });
    fs.rmSync(folder, { recursive: true, force: true });
  });

  /** A folder whose pg_dump writes down what everybody can read of its command line, and does its work. */
  function recorder(): string {
    const bin = path.join(folder, 'bin');
    fs.mkdirSync(bin);
    const script = `#!/bin/sh\nprintf '%s\\n' "$@" >>${asked}\nexec ${program('pg_dump')} "$@"\n`;
    fs.writeFileSync(path.join(bin, 'pg_dump'), script, { mode: 0o755 });
    return bin;
  }
  afterEach(() => (later = 0));
  const missing = async (name = 'database/shop') =>
    (await backups.status(call()))
      .find(({ dataSet }) => dataSet === name)!
      .checks.filter(({ passed }) => !passed)
      .map((check) => check.name);

  it('finds nothing well where nothing was taken', async () => {
    const all = await backups.status(call());
    expect(all.filter(({ passed }) => passed)).to.deep.equal([]);
    // There is no source: no repository is named.
    expect(all.map(({ dataSet }) => dataSet)).to.deep.equal([
      ...['database/gone', 'database/keycloak', 'database/shop'],
      ...['identity', 'images', 'journal', 'logs', 'monitoring', 'names', 'secrets', 'state'],
    ]);
    expect(estateWanted({ repositories: [{ name: 'app', from: '/a', mirror: '/b' }] })).to.include('source');
    expect(await outcome(backups.exportTo(folder, call()))).to.equal('NoBackup');
  });

  it('takes what can be taken, into every vault, and says what can’t; no secret is on a command line', async () => {
    const outcomes = await backups.run([], call());
    expect(outcomes.map(({ dataSet, fault }) => [dataSet, fault?.code])).to.deep.equal([
      ['database/shop', undefined],
      ['database/keycloak', undefined],
      ['database/gone', 'DatabaseRefused'],
    ]);
    const list = await backups.list(call());
    expect(list.map(({ vaults }) => vaults)).to.deep.equal([
      ['intg', 'offsite'],
      ['intg', 'offsite'],
    ]);
    expect(fs.readFileSync(asked, 'utf8')).to.contain('--snapshot=').and.not.contain(server.target.password);
    expect(await outcome(backups.run(['strange'], call()))).to.equal('NoSuchDatabase');
    expect(await missing()).to.deep.equal(['offline', 'errors']);
  });

  it('restores the newest of each, in shares, from any vault; what was never taken is a fault', async () => {
    const shares = await Promise.all([0, 1].map((index) => backups.verify({ shard: { index, of: 2 } }, call())));
    const outcomes = shares.flat().map(({ dataSet, done, fault }) => [dataSet, done?.defect ?? fault?.code ?? 'sound']);
    expect(outcomes.sort()).to.deep.equal([
      ['database/gone', 'NoBackup'],
      ['database/keycloak', 'sound'],
      ['database/shop', 'sound'],
    ]);
    const [elsewhere] = await backups.verify({ dataSets: ['database/shop'], vault: 'offsite', full: true }, call());
    expect(elsewhere?.done).to.include({ vault: 'offsite' }).and.to.not.have.any.keys('defect', 'reused');
    expect(await missing()).to.deep.equal(['offline']);
    expect(await outcome(backups.verify({ id: 'none' }, call()))).to.equal('NoBackup');
    expect(await outcome(backups.verify({ vault: 'none' }, call()))).to.equal('NoSuchVault');
    expect(fs.readdirSync(folder).filter((name) => name.startsWith('standby-'))).to.deep.equal([]);
  });

  it('counts a medium as offline only when it has been taken away', async () => {
    const media = path.join(folder, 'media');
    fs.mkdirSync(media);
    const receipt = await backups.exportTo(media, call());
    expect(receipt.backups.map(({ dataSet }) => dataSet)).to.deep.equal(['database/keycloak', 'database/shop']);
    expect(await missing()).to.deep.equal(['offline']);
    fs.renameSync(media, `${media}.away`);
    expect(await missing()).to.deep.equal([]);
  });

  it('removes what nobody wants any more; what the storage still locks stays, and is said', async () => {
    for (later of [60_000, 120_000]) await backups.run(['shop'], call());
    // Four days later the first of a day, a week and a month is wanted, the newest too, and none between them.
    later = 4 * 86_400_000;
    const between = (await backups.list(call())).filter(({ manifest }) => manifest.dataSet === 'database/shop')[1]!
      .manifest;
    const gone = [`database/shop/${between.id}`];
    const [, planned] = await backups.prune(true, call());
    expect(planned).to.deep.equal({ vault: 'offsite', kept: 3, removed: gone, locked: [] });
    const [, locked] = await backups.prune(false, call());
    expect(locked).to.deep.equal({ vault: 'offsite', kept: 3, removed: [], locked: gone });
    // Nothing locks the objects of this bucket.
    const open = gateway.vault('open', 'bucket');
    for await (const { name } of site.list('', call())) await open.put(name, await site.get(name, call()), 0, call());
    const [pruned] = await openBackups(open).prune(false, call());
    expect(pruned).to.deep.equal({ vault: 'offsite', kept: 3, removed: gone, locked: [] });
    const left = (await namesIn(open.list('', call()))).filter((name) => name.includes(between.id));
    expect(left).to.deep.equal([]);
  });

  it('compares with a backup in which somebody accepted an emptied table, and until then with none', async () => {
    later = 300_000;
    const dataSet = 'database/shop';
    const check = async (wish: Parameters<Backups['verify']>[0] = { dataSets: [dataSet] }) => {
      const [found] = await backups.verify(wish, call());
      return (
        found?.done?.defect ?? found?.fault?.code ?? (found?.done?.accepted ?? []).map(({ table }) => table).join()
      );
    };
    const take = async () => (await backups.run(['shop'], call()))[0]!.done!.id;
    await server.sql('CREATE TABLE old AS SELECT generate_series(1, 100) AS id', 'shop');
    await take();
    expect(await check()).to.equal('');
    await server.sql('DROP TABLE old', 'shop');
    await take();
    expect(await check()).to.equal('BackupWithoutData');
    const id = await take();
    expect(await check()).to.equal('BackupWithoutData');
    expect(await check({ id, acceptEmptied: ['public.things'] })).to.equal('NotEmptied');
    expect(await check({ id, acceptEmptied: ['public.old'] })).to.equal('public.old');
    expect(await check({ id, full: true }), 'a later check of it').to.equal('public.old');
    expect((await backups.list(call()))[0]!.verdict?.accepted).to.have.length(1);
    await take();
    expect(await check(), 'the next backup').to.equal('');
  });

  it('keeps a good backup in the place of a defective one, also when the site’s vault has forgotten which that was', async () => {
    const locks = new Map<string, number>();
    const plain = mediumVault('other', path.join(folder, 'other'));
    const other: Vault = {
      ...plain,
      put: (name, body, until, ...rest) => {
        locks.set(name, until);
        return plain.put(name, body, until, ...rest);
      },
    };
    const forgetful = openBackups(mediumVault('forgetful', path.join(folder, 'forgetful')), other);
    const begin = 400 * 86_400_000;
    const take = async (after: number, damage: boolean) => {
      later = begin + after;
      const { dataSet, id, parts } = (await forgetful.run(['shop'], call()))[0]!.done!;
      const [part] = [...parts].sort((one, two) => two.bytes - one.bytes);
      if (damage) fs.truncateSync(path.join(folder, 'forgetful', company, dataSet, id, part!.name), 1);
      const [found] = await forgetful.verify({ id }, call());
      // The server's clock, which says how old it is, stays behind.
      expect(found?.done?.defect).to.equal(damage ? 'BackupTruncated' : 'BackupTooOld');
      return `${dataSet}/${id}`;
    };
    const [defective, good, more] = [await take(0, true), await take(2_000, false), await take(4_000, false)];
    const lockedDays = (name: string) =>
      Math.round((locks.get(`${company}/${name}/manifest.json`)! - Date.now() - begin) / 86_400_000);
    expect(lockedDays(good)).to.equal(lockedDays(defective)).and.to.be.at.least(7);
    expect(lockedDays(more)).to.equal(2);
    await take(3 * 86_400_000, false);
    for (const [vault, removed] of [
      ['forgetful', [more, defective]],
      ['other', [more, defective]],
    ] as const) {
      fs.rmSync(path.join(folder, 'forgetful', 'verdicts'), { recursive: true, force: true });
      const pruned = (await forgetful.prune(true, call())).find((one) => one.vault === vault);
      expect(pruned, vault).to.deep.equal({ vault, kept: 2, removed, locked: [] });
    }
  });

  it('leaves to the comparison of another data set whether that is sound', async () => {
    const set: EstateSet = {
      ...{ dataSet: 'names', tool: 'test' },
      collect: async () => [{ name: 'zone', bytes: Buffer.from('as it was') }],
      compare: async () => [{ what: 'zone', how: 'different' }],
    };
    const retention = { daily: 1, weekly: 1, monthly: 1 };
    const { recipients } = identities;
    const keyed = { recipients, identities, secondKey: async () => identities };
    const keeping = { company, vaults: [site], retention, ...keyed, environment: {} };
    const { manifest } = await keepSet(set, { ...keeping, now: Date.now }, call());
    const proved = (await backups.verify({}, call())).map(({ dataSet }) => dataSet);
    expect(proved).to.deep.equal(['database/gone', 'database/keycloak', 'database/shop']);
    for (const wish of [{ id: manifest.id }, { dataSets: ['names'] as const }]) {
      const outcomes = await backups.verify(wish, call());
      expect(outcomes.map(({ fault, done }) => [fault?.code, done])).to.deep.equal([['NotADatabase', undefined]]);
    }
    const status = (await backups.status(call())).find(({ dataSet }) => dataSet === 'names')!;
    expect(status.checks.find(({ name }) => name === 'errors')!.detail).to.match(/^BackupCorrupt: /);
    expect(await outcome(chooseBackup(set, [site], company, undefined, call()))).to.equal('NothingVerified');
  });

  it('does not count a copy that lacks a part, nor one that nobody could look at', async () => {
    const [newest] = (await backups.list(call())).filter(({ manifest }) => manifest.dataSet === 'database/keycloak');
    const { company, dataSet, id } = newest!.manifest;
    const copy = path.join(path.dirname(gateway.file(bucket, 'x')), company, dataSet, id);
    fs.renameSync(path.join(copy, 'toc.dat'), path.join(copy, 'away'));
    expect(await missing(dataSet)).to.deep.equal(['offsite']);
    await gateway.stop();
    const shop = (await backups.status(call(120_000))).find((one) => one.dataSet === 'database/shop')!;
    expect(shop.passed).to.equal(false);
    expect(shop.checks.find(({ name }) => name === 'offsite')!.detail).to.match(/offsite unknown: .*no answer/);
  });
});
