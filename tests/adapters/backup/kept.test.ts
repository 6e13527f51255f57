import { expect } from 'chai';
import { Readable } from 'node:stream';
import { openKnownVaults, openVaults } from '../../../adapters/backup/vaults/vaults';
import type { AdapterContext } from '../../../adapters/context';
import { readVault } from '../../../adapters/observe/kept';
import { reading } from '../../../adapters/observe/reading';
import { verdictName } from '../../../backup/names';
import type { Vault } from '../../../backup/ports';
import { StandbyError } from '../../../failover/errors';

describe('a look into a vault that does not answer', () => {
  const site = { database: { database: 'shop' }, identity: { database: 'keycloak' } };
  const configuration = { company: 'acme', backup: { databases: [{ name: 'shop' }] } };
  const context = {
    configuration: () => configuration,
    landscape: { sites: { prod: site } },
    environment: {},
  } as unknown as AdapterContext;
  const vault = (list: Vault['list']) => ({ traits: { name: 'intg' }, list }) as unknown as Vault;
  const look = (list: Vault['list']) =>
    reading({ withinMs: 200, tries: 1, signal: AbortSignal.timeout(5_000) }, (limit) =>
      readVault(context, limit, vault(list)),
    );

  it('ends in its time, as unknown', async () => {
    const began = performance.now();
    const silent = await look(async function* () {
      yield await new Promise<never>(() => undefined);
    });
    expect(silent).to.include({ unknown: 'no answer within 0.2 s' });
    expect(performance.now() - began).to.be.lessThan(2_000);
  });

  it('is unknown for the reason that the vault gives', async () => {
    const refused = await look(async function* () {
      throw new StandbyError('VaultRefused', 'vault intg refuses (403)');
    });
    expect(refused).to.include({ unknown: 'vault intg refuses (403)' });
  });

  it('knows of every data set that it needs, and says when there is nothing', async () => {
    const empty = await look(async function* () {
      yield* [];
    });
    if (!('value' in empty)) throw new Error(empty.unknown);
    expect(empty.value.dataSets).to.deep.equal({ 'database/shop': { skipped: {} }, identity: { skipped: {} } });
    configuration.backup.databases.push({ name: 'keycloak' });
    const both = await look(async function* () {
      yield* [];
    });
    if (!('value' in both)) throw new Error(both.unknown);
    expect(Object.keys(both.value.dataSets), 'one database is not imported twice').to.deep.equal([
      'database/shop',
      'database/keycloak',
    ]);
  });
});

describe('a backup that was restored from two vaults', () => {
  const id = '20260201T020000Z-aaaaaa';
  const part = { name: 'toc.dat', bytes: 3, sha256: 'a'.repeat(64), plainBytes: 2, plainSha256: 'b'.repeat(64) };
  const at = Date.parse('2026-02-01T02:00:00Z');
  const manifest = {
    ...{ format: 1, id, company: 'acme', dataSet: 'database/shop', tool: 'pg_dump 15', recipients: [] },
    ...{ startedAt: at, endedAt: at, recoveryPoint: at, parts: [part] },
  };
  const verdict = (vault: string, verifiedAt: number, defect?: string) => ({
    ...{ dataSet: 'database/shop', id, vault, verifiedAt, recoveryPoint: at, seconds: 1, bytes: 2, checks: [] },
    ...(defect ? { defect } : {}),
  });
  const configuration = { company: 'acme', backup: { databases: [{ name: 'shop' }] } };
  const site = { database: { database: 'shop' }, identity: { database: 'shop' } };
  const context = { configuration: () => configuration, landscape: { sites: { prod: site } }, environment: {} };

  async function newest(bytes: number, ...verdicts: ReturnType<typeof verdict>[]) {
    const objects: Record<string, string> = {
      [`acme/database/shop/${id}/manifest.json`]: JSON.stringify(manifest),
      [`acme/database/shop/${id}/toc.dat`]: 'x'.repeat(bytes),
    };
    for (const one of verdicts) {
      const name = verdictName('acme', 'database/shop', id, one.verifiedAt);
      objects[name] = JSON.stringify(one);
    }
    const vault = {
      traits: { name: 'intg' },
      list: async function* (prefix: string) {
        for (const [name, text] of Object.entries(objects))
          if (name.startsWith(prefix)) yield { name, bytes: text.length };
      },
      get: async (name: string) => Readable.from([Buffer.from(objects[name] ?? '')]),
    } as unknown as Vault;
    const { dataSets } = await readVault(context as unknown as AdapterContext, AbortSignal.timeout(5_000), vault);
    return dataSets['database/shop']?.newest;
  }

  it('is had from the one that is here', async () => {
    const found = await newest(3, verdict('intg', at + 1_000), verdict('offsite', at + 2_000));
    expect(found).to.include({ vault: 'intg', verifiedAt: at + 1_000 });
  });

  it('is had from the other one where the copy that is here is gone, unsound or was never restored', async () => {
    for (const found of [
      await newest(2, verdict('intg', at + 1_000), verdict('offsite', at + 2_000)),
      await newest(3, verdict('intg', at + 1_000, 'BackupCorrupt'), verdict('offsite', at + 2_000)),
      await newest(3, verdict('offsite', at + 2_000)),
    ])
      expect(found).to.include({ vault: 'offsite', verifiedAt: at + 2_000 });
  });
});

describe('vaults when the stacks’ state is what was lost', () => {
  const lost = new StandbyError('LandscapeUnread', 'output "landscape" of stack failover can’t be read');
  const offsite = { endpoint: 'https://s3.example.org', region: 'eu-1', bucket: 'backups', lock: 'object' };
  const contextOf = (vaults: object) =>
    ({
      configuration: () => ({ backup: { vaults: { site: 'intg', ...vaults } } }),
      get landscape() {
        throw lost;
      },
      environment: { STANDBY_OFFSITE_KEY_ID: 'key', STANDBY_OFFSITE_SECRET: 'secret' },
    }) as unknown as AdapterContext;

  it('are those of the configuration alone', () => {
    expect(openKnownVaults(contextOf({ offsite })).map(({ traits }) => traits.name)).to.deep.equal(['offsite']);
  });

  it('are none where no other provider has a copy, and nothing is taken into some of them', () => {
    expect(() => openKnownVaults(contextOf({}))).to.throw(lost.message);
    expect(() => openVaults(contextOf({ offsite }))).to.throw(lost.message);
  });
});
