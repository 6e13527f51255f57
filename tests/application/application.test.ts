import { expect } from 'chai';
import { once } from 'node:events';
import { spawn, type ChildProcess } from 'node:child_process';
import * as path from 'node:path';
import { request } from 'undici';
import { NameServer } from '../kubernetes/names';
import { TestWorld, until } from '../kubernetes/world';
import { DatabaseServer } from './database-server';
import { IdentityProvider } from './identity-provider';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

const idp = 'idp.moodtalk.ch';
const client = { id: 'moodtalk', secret: 'a-client-secret-of-this-test' };

describe('the reference application', function () {
  this.timeout(60_000);
  const world = new TestWorld(62);
  const names = new NameServer(1);
  const database = new DatabaseServer(world);
  const provider = new IdentityProvider(idp, client);
  const children: ChildProcess[] = [];
  /** All instances stand at one pod's address, on ports of their own. */
  const address = world.plan.pod(0);

  async function start(app: string, port: number, more: Readonly<Record<string, string>> = {}): Promise<ChildProcess> {
    const { folders } = world.modules.world;
    const child = spawn(process.execPath, [path.join(folders.build, 'application.js')], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...{ APP: app, PORT: String(port), SITE: 'prod', RELEASE: '1.4.1', EPOCH: '3' },
        ...{ PGHOST: database.name, PGPORT: '5432', PGDATABASE: 'postgres', PGUSER: 'postgres' },
        ...{ PGPASSWORD: database.password, PGSSLMODE: 'verify-full' },
        ...{ OIDC_ISSUER: provider.issuer, OIDC_CLIENT_ID: client.id, OIDC_CLIENT_SECRET: client.secret },
        ...{ SESSION_SECRET: 'a-session-secret-of-this-test', PUBLIC_URL: `https://${app}.moodtalk.ch` },
        NODE_PATH: world.env['NODE_PATH'],
        NODE_EXTRA_CA_CERTS: world.modules.authority.authorityFile,
        NODE_OPTIONS: `--require ${path.join(folders.build, 'hook.js')}`,
        STANDBY_NET: JSON.stringify(world.modules.standpoints.standpointIn('prod', address)),
        ...more,
      },
    });
    children.push(child);
    await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), once(child, 'exit')]);
    return child;
  }

  async function ask(port: number, url: string, options: Parameters<typeof request>[1] = {}): Promise<Answer> {
    const answer = await request(`http://${address}:${port}${url}`, options);
    const text = await answer.body.text();
    const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
    return { status: answer.statusCode, headers: answer.headers, text, json };
  }

  const post = (port: number, url: string, body: unknown) =>
    ask(port, url, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  const codeOf = ({ json }: Answer) => (json['error'] as { code: string } | undefined)?.code;
  const cookieOf = ({ headers }: Answer) =>
    [headers['set-cookie'] ?? []]
      .flat()
      .map((line) => line.split(';')[0])
      .join('; ');

  before(async () => {
    await world.prepare();
    await names.listen(world.plan.resolver);
    names.table.set(database.name, [database.address]);
    names.table.set(idp, [world.plan.containerApp(0)]);
    await database.create(address);
    await provider.listen(world.plan.containerApp(0), await world.modules.authority.issue([idp]));
    // Two at once: both make the tables.
    await Promise.all([start('api', 8080), start('api', 8081), start('id', 8082), start('static', 8083)]);
  });

  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    names.close();
    await provider.close();
    await world.remove();
  });

  it('says in every answer where it comes from, to scripts and to people', async () => {
    const answer = await ask(8080, '/');
    expect(answer.headers).to.include({ 'x-site': 'prod', 'x-release': '1.4.1', 'x-epoch': '3' });
    expect(answer.json).to.include({ app: 'api', site: 'prod', release: '1.4.1', epoch: 3 });
    expect((await ask(8080, '/nowhere')).headers).to.include({ 'x-site': 'prod' });
    const html = await ask(8080, '/', { headers: { accept: 'text/html' } });
    expect(html.headers['content-type']).to.match(/^text\/html/);
    expect(html.text).to.include('1.4.1');
  });

  it('makes its tables when several instances start at once', async () => {
    await until('all are ready', async () => {
      const ready = await Promise.all([ask(8080, '/readyz'), ask(8081, '/readyz'), ask(8082, '/readyz')]);
      return ready.every((one) => one.status === 200) || undefined;
    });
    const tables = await database.sql(`SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`);
    expect(tables.map((row) => row['tablename'])).to.deep.equal(['flights', 'sentinel']);
  });

  it('acknowledges a sentinel row once it is committed, and the same one only once', async () => {
    const first = await post(8080, '/sentinel', { seq: 7, at: new Date().toISOString() });
    expect(first.status).to.equal(201);
    expect(first.json).to.include({ seq: 7, site: 'prod', epoch: 3 });
    expect(await database.sql('SELECT seq, site, epoch FROM sentinel')).to.deep.equal([
      { seq: '7', site: 'prod', epoch: 3 },
    ]);
    const again = await post(8081, '/sentinel', { seq: 7 });
    expect([again.status, again.json['writtenAt']]).to.deep.equal([200, first.json['writtenAt']]);
    await post(8080, '/sentinel', { seq: 9 });
    expect((await ask(8080, '/sentinel/max')).json).to.deep.equal({ max: 9, count: 2 });
    expect((await ask(8080, '/sentinel?from=8&to=20')).json).to.deep.equal({ seqs: [9] });
    for (const seq of [-1, 1.5, 'x', null]) expect((await post(8080, '/sentinel', { seq })).status).to.equal(400);
  });

  it('reads the flights', async () => {
    await database.sql('INSERT INTO flights (delay, distance, time) VALUES (10, 100, 1.5), (30, 300, 2.5)');
    const summary = (await ask(8080, '/flights/summary')).json;
    expect(summary).to.deep.equal({ count: 2, averageDelay: 20, averageDistance: 200, longestDelay: 30 });
    const { flights } = (await ask(8080, '/flights?limit=1')).json as unknown as { flights: object[] };
    expect(flights).to.deep.equal([{ id: 1, delay: 10, distance: 100, time: 1.5 }]);
    expect((await ask(8080, '/flights?limit=0')).status).to.equal(400);
  });

  it('logs a user in by authorization code, and trusts no altered cookie', async () => {
    expect((await ask(8082, '/me')).status).to.equal(401);
    const begun = await ask(8082, '/login');
    const location = String(begun.headers['location']);
    expect(new URL(location).searchParams.get('code_challenge_method')).to.equal('S256');
    const agent = world.modules.outside.agentFor(world.modules.standpoints.standpointIn('prod', address));
    const authorized = await request(location, { dispatcher: agent });
    const back = new URL(String(authorized.headers['location']));
    await agent.close();
    expect(back.origin + back.pathname).to.equal('https://id.moodtalk.ch/callback');

    const stranger = await ask(8082, back.pathname + back.search);
    expect([stranger.status, codeOf(stranger)]).to.deep.equal([400, 'LoginNotBegun']);
    const done = await ask(8082, back.pathname + back.search, { headers: { cookie: cookieOf(begun) } });
    expect([done.status, done.headers['location']]).to.deep.equal([302, '/me']);
    expect(String(done.headers['set-cookie'])).to.match(/__Host-session=\S+; Path=\/; Max-Age=\d+; HttpOnly; Secure/);
    const me = await ask(8082, '/me', { headers: { cookie: cookieOf(done) } });
    expect(me.json).to.include({ sub: 'user-1', preferred_username: 'loris', email: 'loris@moodtalk.ch' });
    const html = await ask(8082, '/me', { headers: { cookie: cookieOf(done), accept: 'text/html' } });
    expect(html.text).to.include('Loris &lt;i&gt;N.&lt;/i&gt;');

    const forged = cookieOf(done).replace(/__Host-session=./, '__Host-session=f');
    expect((await ask(8082, '/me', { headers: { cookie: forged } })).status).to.equal(401);
    const replayed = await ask(8082, back.pathname + back.search, { headers: { cookie: cookieOf(begun) } });
    expect([replayed.status, codeOf(replayed)]).to.deep.equal([401, 'LoginRefused']);
  });

  it('serves assets that a browser may keep', async () => {
    const { headers, status } = await ask(8083, '/assets/moodtalk.css');
    expect(status).to.equal(200);
    const etag = String(headers['etag']);
    const again = await ask(8083, '/assets/moodtalk.css', { headers: { 'if-none-match': etag } });
    expect([again.status, again.text]).to.deep.equal([304, '']);
    expect((await ask(8083, '/readyz')).status).to.equal(200);
  });

  it('keeps survey answers', async () => {
    await start('survey', 8084);
    expect((await post(8084, '/answers', { mood: 4, comment: 'fine' })).status).to.equal(201);
    expect((await post(8084, '/answers', { mood: 9 })).status).to.equal(400);
    expect((await ask(8084, '/answers')).json).to.include({ count: 1, averageMood: 4 });
  });

  it('says 503 and why when the database accepts no writes, and goes on when it does again', async () => {
    await database.setReadOnly(true);
    const refused = await until('a refusal', async () => {
      const answer = await post(8080, '/sentinel', { seq: Date.now() });
      return answer.status === 503 ? answer : undefined;
    });
    expect(codeOf(refused)).to.equal('DatabaseReadOnly');
    expect((await ask(8080, '/sentinel/max')).status).to.equal(200);
    await database.setReadOnly(false);
    await until(
      'a write',
      async () => (await post(8080, '/sentinel', { seq: Date.now() })).status === 201 || undefined,
    );
  });

  it('is ready with a login that may only read, writes once it may, and survives that it is cut off', async () => {
    await until('the tables', async () => (await ask(8080, '/readyz')).status === 200 || undefined);
    const login = { PGUSER: 'moodtalk_e4', PGPASSWORD: 'a-password-of-epoch-4' };
    await database.sql(`CREATE ROLE moodtalk_owner; ALTER TABLE sentinel OWNER TO moodtalk_owner;
      CREATE ROLE moodtalk_e4 LOGIN PASSWORD '${login.PGPASSWORD}'; GRANT pg_read_all_data TO moodtalk_e4`);
    await start('api', 8094, login);
    const write = () => post(8094, '/sentinel', { seq: Date.now() });
    expect((await ask(8094, '/readyz')).status).to.equal(200);
    const refused = await write();
    expect([refused.status, codeOf(refused)]).to.deep.equal([503, 'DatabaseReadOnly']);

    const sessions = () =>
      database.sql(`SELECT pid FROM pg_stat_activity WHERE usename = 'moodtalk_e4' AND application_name = 'moodtalk'`);
    expect((await ask(8094, '/sentinel/max')).status).to.equal(200);
    const before = await sessions();
    expect(before).to.have.length(1);
    await database.sql('GRANT moodtalk_owner TO moodtalk_e4');
    expect((await write()).status, 'in the session that is open').to.equal(201);
    expect(await sessions()).to.deep.equal(before);

    await database.sql('REVOKE moodtalk_owner FROM moodtalk_e4; ALTER ROLE moodtalk_e4 NOLOGIN');
    await database.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'moodtalk_e4'`);
    await until('it is not ready', async () => (await ask(8094, '/readyz')).status === 503 || undefined);
    expect((await write()).status).to.equal(503);
    await database.sql('GRANT moodtalk_owner TO moodtalk_e4; ALTER ROLE moodtalk_e4 LOGIN');
    await until('a write', async () => (await write()).status === 201 || undefined);
    expect((await ask(8094, '/readyz')).status).to.equal(200);
  });

  it('says 503 within its patience when database or identity provider are gone, lives on, and recovers', async () => {
    await database.kill();
    await provider.close();
    const began = Date.now();
    const answers = await Promise.all([
      post(8080, '/sentinel', { seq: 99 }),
      ask(8080, '/readyz'),
      ask(8082, '/readyz'),
    ]);
    expect(answers.map((one) => one.status)).to.deep.equal([503, 503, 503]);
    expect(answers.slice(0, 1).map(codeOf)).to.deep.equal(['DatabaseUnavailable']);
    expect(Date.now() - began).to.be.below(5_000);
    expect((await ask(8080, '/healthz')).status).to.equal(200);
    expect((await ask(8082, '/login')).status).to.equal(503);
    await database.start();
    await until('a write', async () => (await post(8080, '/sentinel', { seq: 99 })).status === 201 || undefined);
  });

  it('does not trust a database server whose certificate is for another name', async () => {
    names.table.set('other.postgres.database.azure.com', [database.address]);
    await start('api', 8085, { PGHOST: 'other.postgres.database.azure.com' });
    const answer = await ask(8085, '/sentinel/max');
    expect([answer.status, codeOf(answer)]).to.deep.equal([503, 'DatabaseUnavailable']);
    expect(answer.text).to.include('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  it('ends within a second of SIGTERM', async () => {
    const child = await start('api', 8086);
    await ask(8086, '/readyz');
    const began = Date.now();
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number | null];
    expect(code).to.equal(0);
    expect(Date.now() - began).to.be.below(1_500);
  });

  it('names every wrong variable at once, and no secret', async () => {
    const child = spawn(process.execPath, [path.join(world.modules.world.folders.build, 'application.js')], {
      env: { APP: 'shop', PORT: '0', NODE_PATH: world.env['NODE_PATH'] },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (more: Buffer) => (text += more.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    expect(code).to.equal(1);
    expect(text.trim().split('\n')).to.have.length(1);
    for (const name of ['APP is "shop"', 'PORT is "0"', 'SITE is ""', 'RELEASE is ""']) expect(text).to.include(name);
  });
});
