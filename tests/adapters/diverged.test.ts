import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { admit, fence, readServer } from '../../adapters/postgres/admission';
import { exportRows } from '../../adapters/postgres/diverged';
import { caughtUp, promoteBy } from '../../adapters/postgres/promotion';
import { StandbyError } from '../../failover/errors';
import { TestWorld } from '../kubernetes/world';
import { TestServer } from './postgres';

const call = () => ({ signal: AbortSignal.timeout(60_000), progress: () => undefined });

interface Line {
  readonly table: string;
  readonly key: unknown;
  readonly row: Record<string, unknown>;
}

describe('adapters: promotion, and the rows that only the server which was left has', function () {
  this.timeout(90_000);
  const world = new TestWorld(212);
  const left = new TestServer(world, 'psql-left', 0);
  const follower = new TestServer(world, 'psql-follower', 1);
  const rows = (server: TestServer, text: string) => server.sql(text, 'shop');

  async function exported(): Promise<{ header: Record<string, unknown>; lines: Line[]; text: string; file: string }> {
    const sides = { server: 'psql-left', left: left.target, since: 'psql-follower', follower: follower.target };
    const { file, rows: count } = await exportRows(sides, path.join(world.home, 'runs', 'diverged.jsonl'), call());
    const text = fs.readFileSync(file, 'utf8');
    const [first = '', ...rest] = text.trim().split('\n');
    const lines = rest.map((line) => JSON.parse(line) as Line);
    expect(lines).to.have.length(count);
    return { header: JSON.parse(first) as Record<string, unknown>, lines, text, file };
  }

  before(async () => {
    await world.modules.authority.createAuthority();
    await left.create();
    const administrator = await left.session();
    await administrator.query(`
      CREATE TABLE orders (shop text, id bigint, amount numeric, note text, PRIMARY KEY (shop, id));
      CREATE TABLE notes (word text, t text);
      CREATE TABLE "Odd Name" (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), at timestamptz DEFAULT now(), data bytea)`);
    await administrator.end();
    await admit(left.target, 1, call().signal);
    await rows(left, "INSERT INTO orders SELECT 'a', n, n, 'old' FROM generate_series(1, 2000) n");
    await rows(left, `INSERT INTO notes VALUES ('old'); INSERT INTO "Odd Name" (data) VALUES ('\\x00ff')`);
    await follower.follow(left);
    const { position } = await readServer(left.target, call().signal);
    await caughtUp(follower.target, position, call().signal);
  });
  after(() => world.remove());

  it('promotes by an order, sees it in the server itself, and is done when it is done again', async () => {
    const failing = promoteBy(
      follower.target,
      'psql-follower',
      () => Promise.reject(new StandbyError('PromotionFailed', 'no')),
      call(),
    );
    expect(await failing.catch((cause: StandbyError) => cause.code)).to.equal('PromotionFailed');
    const order = async () => void (await follower.promote());
    await promoteBy(follower.target, 'psql-follower', order, call());
    const never = () => Promise.reject(new Error('nobody may order it again'));
    await promoteBy(follower.target, 'psql-follower', never, call());
    await admit(follower.target, 2, call().signal);
    expect((await readServer(follower.target, call().signal)).token).to.deep.equal({ epoch: 2, open: true });
  });

  it('exports exactly the rows that were written after the follower had left', async () => {
    // On the server that took over, business goes on.
    await rows(follower, "INSERT INTO orders VALUES ('a', 5001, 1, 'new'), ('a', 9000, 1, 'new')");
    await rows(follower, "UPDATE orders SET note = 'changed later' WHERE id = 10; DELETE FROM orders WHERE id = 11");
    await rows(follower, 'ALTER TABLE orders ADD COLUMN later int DEFAULT 7');
    // Nobody had fenced the one that was left.
    await rows(left, "INSERT INTO orders VALUES ('a', 5001, 12345678901234567890.5, 'lost'), ('b', 1, 2, NULL)");
    await rows(left, "UPDATE orders SET note = 'lost' WHERE id = 20; INSERT INTO notes VALUES ('lost')");
    await rows(left, `INSERT INTO "Odd Name" (id, data) VALUES ('00000000-0000-4000-8000-000000000001', '\\x01')`);
    await rows(left, 'CREATE TABLE fresh (id int PRIMARY KEY); INSERT INTO fresh VALUES (1)');
    await fence(left.target, 1, true, call().signal);

    const { header, lines, text, file } = await exported();
    expect(lines.map(({ table, key }) => [table, key])).to.deep.equal([
      ['public."Odd Name"', ['00000000-0000-4000-8000-000000000001']],
      ['public.fresh', [1]],
      ['public.notes', null],
      ['public.orders', ['a', 5001]],
      ['public.orders', ['b', 1]],
      ['public.orders', ['a', 20]],
    ]);
    expect(lines[2]?.row, 'of a table whose column is named as we name the table').to.deep.equal({
      word: 'lost',
      t: null,
    });
    expect(text, 'a number that JavaScript can not hold').to.include('12345678901234567890.5');
    expect(header['cutOff']).to.match(/^transaction \d+$/);
    expect(fs.statSync(file).mode & 0o777).to.equal(0o600);
    expect(fs.readdirSync(path.dirname(file))).to.deep.equal(['diverged.jsonl']);
  });

  it('exports every difference, and says so, where nobody wrote down what the follower had', async () => {
    await follower.sql('DELETE FROM standby_plan.fork');
    const { header, lines } = await exported();
    expect(header['cutOff']).to.equal('unknown');
    const keys = lines.filter(({ table }) => table === 'public.orders').map(({ key }) => key);
    expect(keys).to.deep.include.members([
      ['a', 10],
      ['a', 11],
      ['a', 20],
      ['a', 5001],
      ['b', 1],
    ]);
    expect(keys).to.have.length(5);
  });
});
