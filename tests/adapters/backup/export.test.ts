import { identityToRecipient, generateX25519Identity } from 'age-encryption';
import { expect } from 'chai';
import { readXlsx } from 'hucre/xlsx';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { backUpDatabase } from '../../../adapters/backup/dump';
import { fromBackup, writeExport, type ExportWish } from '../../../adapters/backup/export';
import { identitiesOf } from '../../../adapters/backup/seal';
import type { Vault } from '../../../backup/ports';
import { TestWorld } from '../../kubernetes/world';
import { TestServer } from '../postgres';

const point = Date.parse('2026-11-20T16:34:06Z');
const call = () => ({ signal: AbortSignal.timeout(60_000), progress: () => undefined });

class MemoryVault implements Vault {
  readonly traits = { name: 'memory', medium: 'file', offsite: false, offline: false } as const;
  private readonly objects = new Map<string, Buffer>();

  async put(name: string, body: NodeJS.ReadableStream | Buffer): Promise<void> {
    this.objects.set(name, Buffer.isBuffer(body) ? body : await buffer(body));
  }
  async get(name: string): Promise<NodeJS.ReadableStream> {
    return Readable.from([this.objects.get(name) as Buffer]);
  }
  async *list(prefix: string) {
    for (const [name, { length }] of this.objects) if (name.startsWith(prefix)) yield { name, bytes: length };
  }
  async remove(name: string): Promise<void> {
    this.objects.delete(name);
  }
}

describe('adapters: exports for customers', function () {
  this.timeout(90_000);
  const world = new TestWorld(235);
  const server = new TestServer(world, 'psql-export', 0);
  let key = '';
  let recipient = '';

  async function written(
    format: ExportWish['format'],
    more: Partial<ExportWish> = {},
  ): Promise<{ text: string; bytes: Buffer; rows: number }> {
    const file = path.join(world.home, 'exports', `bookings.${format}.age`);
    const sql = 'SELECT id, tenant, what, day FROM bookings WHERE tenant = $1 ORDER BY id';
    const wish = {
      name: 'bookings',
      sql,
      tenant: 'a',
      format,
      recoveryPoint: point,
      recipients: [recipient],
      file,
      ...more,
    };
    const rows = await writeExport(server.target, wish, call());
    expect(fs.statSync(file).mode & 0o777).to.equal(0o600);
    const sealed = fs.readFileSync(file);
    expect(sealed.subarray(0, 21).toString()).to.equal('age-encryption.org/v1');
    expect(sealed.includes('booked')).to.equal(false);
    const bytes = await buffer(fs.createReadStream(file).pipe((await identitiesOf([key])).opening()));
    return { text: bytes.toString('utf8'), bytes, rows };
  }

  before(async () => {
    key = await generateX25519Identity();
    recipient = await identityToRecipient(key);
    await world.modules.authority.createAuthority();
    await server.create();
    const session = await server.session();
    await session.query(`CREATE TABLE bookings (id int PRIMARY KEY, tenant text, what text, day date);
      INSERT INTO bookings VALUES (1, 'a', '=HYPERLINK("http://x")', '2026-01-01'), (2, 'a', 'he said "no", then left', NULL),
        (3, 'b', 'somebody else', '2026-01-01'), (4, 'a', E'two\\nlines', '2026-02-01');
      CREATE TABLE many AS SELECT n AS id, 'booked ' || md5(n::text) AS what FROM generate_series(1, 100000) n`);
    await session.end();
  });
  after(() => world.remove());

  it('writes one customer’s rows as CSV, the recovery point first, and runs no formula', async () => {
    const { text, rows } = await written('csv');
    expect(rows).to.equal(3);
    const lines = text.split('\r\n');
    expect(lines[0]).to.equal('recovery point,2026-11-20T16:34:06.000Z');
    expect(lines[1]).to.equal('id,tenant,what,day');
    expect(lines[2]).to.match(/^1,a,"'=HYPERLINK\(""http:\/\/x""\)",2026-01-01/);
    expect(lines[3]).to.equal('2,a,"he said ""no"", then left",');
    expect(text).not.to.contain('somebody else');
  });

  it('writes it as XLSX that a reader of XLSX opens', async () => {
    const { bytes } = await written('xlsx');
    const [sheet] = (await readXlsx(bytes)).sheets;
    expect(sheet?.rows[0]?.slice(0, 2)).to.deep.equal(['recovery point', '2026-11-20T16:34:06.000Z']);
    expect(sheet?.rows[1]).to.deep.equal(['id', 'tenant', 'what', 'day']);
    expect(sheet?.rows[2]?.[2]).to.equal('\'=HYPERLINK("http://x")');
    expect(sheet?.rows).to.have.length(5);
  });

  it('writes it as JSON with the values as they are', async () => {
    const found = JSON.parse((await written('json')).text) as { recoveryPoint: string; tenant: string; rows: object[] };
    expect(found).to.include({ recoveryPoint: '2026-11-20T16:34:06.000Z', tenant: 'a' });
    expect(found.rows[0]).to.include({ id: 1, what: '=HYPERLINK("http://x")', day: '2026-01-01' });
    expect(found.rows).to.have.length(3);
  });

  for (const format of ['csv', 'xlsx', 'json'] as const) {
    it(`streams 100,000 rows as ${format} without holding them`, async () => {
      const file = path.join(world.home, 'exports', `many.${format}.age`);
      const sql = 'SELECT a.id, a.what, a.what || a.what AS twice, repeat(a.what, 8) AS more FROM many a';
      global.gc?.();
      const before = process.memoryUsage().rss;
      let most = 0;
      const look = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20);
      const wish = { name: 'many', sql, format, recoveryPoint: point, recipients: [recipient], file };
      const rows = await writeExport(server.target, wish, call()).finally(() => clearInterval(look));
      expect(rows).to.equal(100_000);
      // Its rows are more than 45 MB of text, and several times that as values.
      expect((most - before) / 1024 ** 2).to.be.below(120);
    });
  }

  it('asks a backup that is restored for it, and leaves nothing of that', async () => {
    const scratch = path.join(world.home, 'scratch');
    fs.mkdirSync(scratch, { mode: 0o755 });
    fs.chmodSync(world.home, 0o711);
    const environment = { ...process.env, STANDBY_SCRATCH: scratch };
    const vault = new MemoryVault();
    await server.sql('CREATE ROLE clerk');
    // The throw-away server has a role of that name too.
    await server.sql('CREATE ROLE standby');
    await server.sql(
      'ALTER TABLE bookings ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON bookings TO clerk USING (true); ALTER ROLE drpadmin BYPASSRLS',
      'shop',
    );
    const retention = { daily: 1, weekly: 1, monthly: 1 };
    const keeping = { vaults: [vault], retention, recipients: [recipient], now: Date.now, environment };
    const manifest = await backUpDatabase({ company: 'acme', jobs: 1, target: server.target, keeping }, call());
    const identities = await identitiesOf([key]);
    const file = path.join(world.home, 'exports', 'restored.json.age');
    const sql = 'SELECT id FROM bookings WHERE tenant = $1 ORDER BY id';
    const wish = { ...{ name: 'bookings', sql, tenant: 'a', format: 'json' as const }, recipients: [recipient], file };
    const rows = await fromBackup(
      { vault, manifest, identities, environment },
      (target) => writeExport(target, { ...wish, recoveryPoint: manifest.recoveryPoint }, call()),
      call(),
    );
    expect(rows).to.equal(3);
    expect(fs.readdirSync(scratch)).to.deep.equal([]);
  });

  it('writes nothing of a query that fails, or that would write', async () => {
    for (const sql of ['SELECT 1 / (id - 4) FROM bookings', 'SELECT nothing FROM bookings']) {
      const file = path.join(world.home, 'failed', 'x.csv.age');
      const wish = { name: 'x', sql, format: 'csv', recoveryPoint: point, recipients: [recipient], file } as const;
      const fault = await writeExport(server.target, wish, call()).catch((cause: { code: string }) => cause.code);
      expect(fault).to.equal('DatabaseRefused');
      expect(fs.existsSync(path.dirname(file)) ? fs.readdirSync(path.dirname(file)) : []).to.deep.equal([]);
    }
  });
});
