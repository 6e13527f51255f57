import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { checkLive, copyTables, diffTables, mergeTables, type DiffResult } from '../../../adapters/backup/partial';
import { parseTables, type CopyNote } from '../../../backup/merge';
import { StandbyError } from '../../../failover/errors';
import { TestWorld } from '../../kubernetes/world';
import { TestServer } from '../postgres';

const call = () => ({ signal: AbortSignal.timeout(60_000), progress: () => undefined });
const faultOf = (attempt: Promise<unknown>): Promise<{ code: string; message: string }> =>
  attempt.then(
    () => ({ code: 'done', message: '' }),
    (cause: unknown) => (cause instanceof StandbyError ? cause : { code: String(cause), message: String(cause) }),
  );

const tables = `
  CREATE TYPE mood AS ENUM ('good', 'b''ad');
  CREATE TABLE customers (id int PRIMARY KEY, name text);
  CREATE TABLE bookings (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int REFERENCES customers, what text,
    mood mood, data json, twice bigint GENERATED ALWAYS AS (id * 2) STORED);
  CREATE TABLE "odd ""shifts" (day date, "who's" text, booking bigint REFERENCES bookings, r text, l text,
    PRIMARY KEY (day, "who's"));
  CREATE TABLE notes (text text);
  INSERT INTO customers SELECT n, 'c' || n FROM generate_series(1, 5) n;
  INSERT INTO bookings (customer, what, mood, data) SELECT n % 5 + 1, 'b' || n, 'good', '{"a": [1,  2]}' FROM generate_series(1, 100) n;
  INSERT INTO "odd ""shifts" SELECT date '2026-01-01' + n, 'eva', n FROM generate_series(1, 20) n;`;

interface Line {
  readonly table: string;
  readonly key: { readonly id?: number };
  readonly recovered: object | null;
  readonly live: object | null;
}

describe('adapters: single tables out of the past', function () {
  this.timeout(90_000);
  const world = new TestWorld(242);
  const server = new TestServer(world, 'psql-parts', 0);
  const live = () => server.target;
  const past = () => ({ ...server.target, database: 'past' });
  const wanted = parseTables('bookings,odd "shifts');
  const note: CopyNote = {
    format: 1,
    recoveryPoint: Date.parse('2026-11-20T10:00:00Z'),
    from: 'psql-past',
    tables: wanted,
  };
  const sql = (text: string) => server.sql(text, 'shop');
  let next = 0;
  /** A database as it was, and the same after somebody worked on it. */
  async function begin(since: string): Promise<string> {
    await sql('DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION drpadmin');
    const session = await server.session();
    await session.query(tables);
    await session.end();
    await server.sql('DROP DATABASE IF EXISTS past');
    await server.sql('CREATE DATABASE past TEMPLATE shop OWNER azure_pg_admin');
    await sql(since);
    const schema = `recovered_${(next += 1)}`;
    await copyTables(past(), live(), schema, note, call());
    return schema;
  }
  const file = (name: string) => path.join(world.home, 'diffs', name);
  const diff = (schema: string, only = wanted): Promise<DiffResult> =>
    diffTables(live(), schema, only, file(schema), call());

  before(async () => {
    await world.modules.authority.createAuthority();
    await server.create();
  });
  after(() => world.remove());

  it('copies every row and every type into a schema beside production, and touches nothing else', async () => {
    const schema = await begin('');
    const copied = await server.sql(
      `SELECT count(*)::int AS rows, sum(twice)::int AS twice FROM ${schema}.bookings`,
      'shop',
    );
    expect(copied).to.deep.equal([{ rows: 100, twice: 10_100 }]);
    expect(await diff(schema)).to.deep.include({
      recoveryPoint: note.recoveryPoint,
      difference: {
        bookings: { deleted: 0, changed: 0, added: 0 },
        'odd "shifts': { deleted: 0, changed: 0, added: 0 },
      },
    });
    expect(fs.readFileSync(file(schema), 'utf8')).to.equal('');
    const again = await faultOf(copyTables(past(), live(), schema, note, call()));
    expect(again.code).to.equal('SchemaExists');
  });

  it('brings deleted rows back, and leaves changed and added ones as they are', async () => {
    const schema = await begin(`
      DELETE FROM "odd ""shifts" WHERE day > '2026-01-15'; DELETE FROM "odd ""shifts" WHERE booking = 3;
      DELETE FROM bookings WHERE id IN (3, 50, 51);
      UPDATE bookings SET what = 'newer' WHERE id = 60; UPDATE bookings SET data = '{"a": 2}' WHERE id = 61;
      INSERT INTO bookings (what) VALUES ('added');`);
    const result = await diff(schema);
    const { difference, caveats } = result;
    expect(difference).to.deep.equal({
      bookings: { deleted: 3, changed: 2, added: 1 },
      'odd "shifts': { deleted: 7, changed: 0, added: 0 },
    });
    expect(caveats.join()).to.contain('bookings.customer refers to customers');
    const lines = fs
      .readFileSync(file(schema), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    expect(fs.statSync(file(schema)).mode & 0o777).to.equal(0o600);
    expect(lines).to.have.length(13);
    expect(lines.find(({ key }) => key.id === 60)).to.deep.include({ table: 'bookings', kind: 'changed' });
    expect(lines.find(({ key }) => key.id === 60)?.recovered).to.include({ what: 'b60' });
    expect(lines.find(({ key }) => key.id === 60)?.live).to.include({ what: 'newer' });
    expect(lines.find(({ key }) => key.id === 3)?.live).to.equal(null);
    expect(lines.find(({ table }) => table === 'odd "shifts')?.recovered).to.include({ booking: 3, r: null });

    const written = await mergeTables(live(), schema, { expected: result, overwrite: false }, call());
    expect(written).to.deep.equal({
      bookings: { inserted: 3, overwritten: 0 },
      'odd "shifts': { inserted: 7, overwritten: 0 },
    });
    expect(await sql(`SELECT what FROM bookings WHERE id IN (50, 60, 101) ORDER BY id`)).to.deep.equal(
      ['b50', 'newer', 'added'].map((what) => ({ what })),
    );
    expect((await diff(schema)).difference['bookings']).to.deep.equal({ deleted: 0, changed: 2, added: 1 });
  });

  it('overwrites what was changed since only when that is asked for', async () => {
    const schema = await begin(
      `UPDATE bookings SET what = 'newer', mood = 'b''ad' WHERE id <= 10; DELETE FROM bookings WHERE id = 99`,
    );
    const result = await diff(schema);
    const written = await mergeTables(live(), schema, { expected: result, overwrite: true }, call());
    expect(written['bookings']).to.deep.equal({ inserted: 1, overwritten: 10 });
    expect(await sql("SELECT count(*)::int AS n FROM bookings WHERE what = 'newer' OR mood <> 'good'")).to.deep.equal([
      { n: 0 },
    ]);
  });

  it('merges nothing when the tables changed since the person said yes', async () => {
    const schema = await begin('DELETE FROM bookings WHERE id IN (90, 91)');
    const result = await diff(schema);
    await sql('UPDATE bookings SET id = DEFAULT WHERE id = 92; INSERT INTO bookings (what) VALUES (1)');
    const { code, message } = await faultOf(mergeTables(live(), schema, { expected: result, overwrite: true }, call()));
    expect(code).to.equal('ChangedSince');
    expect(message).to.contain('nothing was merged');
    expect(await sql('SELECT count(*)::int AS n FROM bookings WHERE id IN (90, 91)')).to.deep.equal([{ n: 0 }]);
  });

  it('merges nothing when as many rows differ as were shown, but not those rows as they were', async () => {
    const schema = await begin(
      "DELETE FROM bookings WHERE id = 90; UPDATE bookings SET what = 'newer' WHERE id IN (60, 61)",
    );
    const result = await diff(schema);
    const refused = async (since: string, found: string) => {
      await sql(since);
      expect((await diff(schema)).difference).to.deep.equal(result.difference);
      const { code, message } = await faultOf(
        mergeTables(live(), schema, { expected: result, overwrite: true }, call()),
      );
      expect(code, since).to.equal('ChangedSince');
      expect(message).to.match(/^bookings has as many rows .* nothing was merged/);
      expect(
        await sql(
          "SELECT string_agg(id || what, ' ' ORDER BY id) AS found FROM bookings WHERE id IN (60, 61, 62, 90, 91)",
        ),
      ).to.deep.equal([{ found }]);
    };
    await refused("UPDATE bookings SET what = 'newest' WHERE id = 60", '60newest 61newer 62b62 91b91');
    await refused(
      "UPDATE bookings SET what = 'newer' WHERE id IN (60, 62); UPDATE bookings SET what = 'b61' WHERE id = 61",
      '60newer 61b61 62newer 91b91',
    );
    await refused(
      `UPDATE bookings SET what = 'newer' WHERE id = 61; UPDATE bookings SET what = 'b62' WHERE id = 62;
       INSERT INTO bookings (id, customer, what, mood, data) OVERRIDING SYSTEM VALUE
         SELECT id, customer, what, mood, data FROM ${schema}.bookings WHERE id = 90;
       DELETE FROM bookings WHERE id = 91`,
      '60newer 61newer 62b62 90b90',
    );
    const written = await mergeTables(live(), schema, { expected: await diff(schema), overwrite: true }, call());
    expect(written['bookings']).to.deep.equal({ inserted: 1, overwritten: 2 });
  });

  it('merges nothing when a parent is gone, and names it', async () => {
    const schema = await begin(
      'DELETE FROM "odd ""shifts"; DELETE FROM bookings WHERE customer = 2; DELETE FROM customers WHERE id = 2',
    );
    const only = parseTables('bookings');
    const result = await diff(schema, only);
    const fault = await faultOf(
      mergeTables(live(), schema, { tables: only, expected: result, overwrite: false }, call()),
    );
    expect(fault.code).to.equal('ParentMissing');
    expect(fault.message).to.contain('20 rows of bookings').and.to.contain('restore customers as well');
    const shifts = parseTables('odd "shifts');
    const children = await faultOf(
      mergeTables(live(), schema, { tables: shifts, expected: await diff(schema, shifts), overwrite: false }, call()),
    );
    expect(children.message).to.contain('refer to rows of bookings that are gone');
    expect(await sql('SELECT count(*)::int AS n FROM bookings WHERE customer = 2')).to.deep.equal([{ n: 0 }]);
  });

  it('rolls all back when the server refuses one row, and when a trigger keeps rows out', async () => {
    const schema = await begin(`DELETE FROM "odd ""shifts" WHERE booking = 7; DELETE FROM bookings WHERE id = 7;
      CREATE UNIQUE INDEX ON bookings (what); INSERT INTO bookings (what) VALUES ('b7')`);
    const result = await diff(schema);
    const fault = await faultOf(mergeTables(live(), schema, { expected: result, overwrite: false }, call()));
    expect(fault.message).to.contain('duplicate key');
    await sql(`DELETE FROM bookings WHERE id > 100; CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER keep_out BEFORE INSERT ON "odd ""shifts" FOR EACH ROW EXECUTE FUNCTION keep_out()`);
    const now = await diff(schema);
    expect(now.caveats.join()).to.contain('trigger keep_out runs for each row');
    expect((await faultOf(mergeTables(live(), schema, { expected: now, overwrite: false }, call()))).code).to.equal(
      'ChangedSince',
    );
    expect(await sql('SELECT count(*)::int AS n FROM bookings WHERE id = 7')).to.deep.equal([{ n: 0 }]);
  });

  it('says what changed about the columns, and takes rows back all the same', async () => {
    const schema = await begin(
      `DELETE FROM bookings WHERE id = 80; ALTER TABLE bookings DROP COLUMN mood, ADD COLUMN paid boolean DEFAULT false`,
    );
    const result = await diff(schema);
    const { difference, caveats } = result;
    expect(difference['bookings']).to.deep.equal({ deleted: 1, changed: 0, added: 0 });
    expect(caveats.join()).to.contain('column mood was dropped since').and.to.contain('column paid was added since');
    await mergeTables(live(), schema, { expected: result, overwrite: false }, call());
    expect(await sql('SELECT paid FROM bookings WHERE id = 80')).to.deep.equal([{ paid: false }]);
  });

  it('refuses tables that are not there or have no key, before anything is restored', async () => {
    await begin('');
    const check = (text: string, schema = 'recovered_new') =>
      faultOf(checkLive(live(), schema, parseTables(text), call()));
    expect((await check('notes')).code).to.equal('NoPrimaryKey');
    expect((await check('notes')).message).to.contain('table notes has no primary key');
    expect((await check('nothing')).code).to.equal('TableUnknown');
    expect((await check('bookings', 'recovered_1')).code).to.equal('SchemaExists');
    expect((await faultOf(diff('recovered_nowhere'))).code).to.equal('NoCopy');
  });

  it('leaves no schema of a copy that failed', async () => {
    await begin('');
    await server.sql('DROP TABLE bookings CASCADE', 'past');
    expect((await faultOf(copyTables(past(), live(), 'recovered_half', note, call()))).code).to.equal('TableUnknown');
    expect(await sql("SELECT FROM pg_namespace WHERE nspname = 'recovered_half'")).to.deep.equal([]);
  });
});
