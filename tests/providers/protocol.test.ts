import { expect } from 'chai';
import { setTimeout as delay } from 'node:timers/promises';
import { diff, follow } from '../../sandbox/providers/diff';
import { Secret, unknown, type Plugin, type Provider } from '../../sandbox/providers/plugin';
import { listen } from '../../sandbox/providers/server';
import { Connection } from './client';

/** Answers with its own configuration; waits for ever when it is asked to hang. */
const echo = {
  name: 'echo',
  version: '1.0.0',
  configure: (config) =>
    ({
      create: async ({ inputs, name, signal }) => {
        if (inputs['hang']) await delay(60_000, undefined, { signal });
        return { id: name, outputs: { ...inputs, site: config['site'] } };
      },
    }) as Partial<Provider> as Provider,
} satisfies Plugin;

describe('providers: the protocol', () => {
  let server: Awaited<ReturnType<typeof listen>>;
  const connections: Connection[] = [];
  const connect = async (config: Record<string, unknown>) => {
    const connection = new Connection(server.port, 'echo:index:Thing');
    connections.push(connection);
    await connection.configure(config);
    return connection;
  };
  before(async () => {
    server = await listen(echo, 0);
  });
  after(() => {
    for (const connection of connections) connection.close();
    server.close();
  });

  it('keeps the configuration of each connection, and opens secrets', async () => {
    const [prod, intg] = [await connect({ site: new Secret('prod') }), await connect({ site: 'intg' })];
    const [first, second] = await Promise.all([
      prod.create('a', { x: [1, null, { y: new Secret('s') }] }),
      intg.create('b', {}),
    ]);
    expect(first).to.deep.equal({ id: 'a', outputs: { x: [1, null, { y: 's' }], site: 'prod' } });
    expect(second).to.deep.equal({ id: 'b', outputs: { site: 'intg' } });
  });

  it('cancels what one connection waits for, and nothing else', async () => {
    const [one, other] = [await connect({}), await connect({})];
    const refused = one.create('a', { hang: true }).then(String, (cause: Error) => cause.message);
    let ended = false;
    const waiting = other.create('b', { hang: true }).then(
      () => (ended = true),
      () => (ended = true),
    );
    await other.create('c', {}); // is served while both wait
    await one.cancel();
    expect(await refused).to.include('abort');
    expect(ended).to.equal(false);
    await other.cancel();
    await waiting;
  });
});

describe('providers: differences', () => {
  const kinds = (found: ReturnType<typeof diff>) =>
    Object.fromEntries(
      [...found.changes].map(([path, { kind, replace }]) => [path, replace ? `${kind} replace` : kind]),
    );

  it('are told path by path, with what needs a new resource', () => {
    const forces = new Set(['backup.geo', 'pools[].size', 'sku']);
    const before = {
      sku: { name: 'a' },
      backup: { geo: 'On', days: 7 },
      pools: [{ size: 1, count: 1 }],
      tags: { 'a.b': 'x', old: '1' },
    };
    const after = {
      sku: { name: 'b' },
      backup: { geo: 'Off', days: 8 },
      pools: [{ size: 2, count: 2 }, { size: 3 }],
      tags: { 'a.b': 'y' },
      later: unknown,
    };
    expect(kinds(diff(before, after, (path) => forces.has(path)))).to.deep.equal({
      'sku.name': 'update replace',
      'backup.geo': 'update replace',
      'backup.days': 'update',
      'pools[0].size': 'update replace',
      'pools[0].count': 'update',
      'pools[1]': 'add',
      'tags["a.b"]': 'update',
      'tags.old': 'delete',
      later: 'add',
    });
    expect(kinds(diff(before, { ...before }, () => true))).to.deep.equal({});
  });

  it('read from a service reach the inputs that were given, and no others', () => {
    const inputs = { tags: { a: '1' }, sku: { name: 'x' } };
    const before = { tags: { a: '1' }, sku: { name: 'x', tier: 'T' }, state: 'Ready' };
    expect(follow(inputs, before, { ...before, state: 'Updating' })).to.deep.equal(inputs);
    expect(follow(inputs, before, { ...before, tags: { a: '2' }, sku: { name: 'x', tier: 'U' } })).to.deep.equal({
      tags: { a: '2' },
      sku: { name: 'x' },
    });
  });
});
