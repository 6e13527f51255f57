import { expect } from 'chai';
import type Cloudflare from 'cloudflare';
import type * as http from 'node:http';
import * as https from 'node:https';
import { execFileSync } from 'node:child_process';
import * as net from 'node:net';
import { isRoot } from '../../sandbox/process';
import { CloudflareWorld } from './service';

interface Got {
  readonly status: number | undefined;
  readonly body: string;
  readonly headers: http.IncomingHttpHeaders;
}

describe('cloudflare edge', function () {
  this.timeout(20_000);
  const world = new CloudflareWorld(203);
  const { outside, ports, plan } = world.world;
  const [prod, intg] = [plan.prod.publicIp(0), plan.intg.publicIp(0)];
  const servers: https.Server[] = [];
  let client: Cloudflare;
  let zone_id: string;
  let agent: https.Agent;
  let connections = 0;

  /** An origin that tells where it is and what it got. */
  const origin = async (address: string, text: string, names: [string, ...string[]]) => {
    const server = https.createServer(
      { ...(await world.authority.issue(names)), keepAliveTimeout: 60_000 },
      (request, response) => {
        let body = '';
        request.on('data', (chunk: Buffer) => (body += chunk.toString()));
        request.on('end', () => {
          response.setHeader('x-origin', 'yes');
          response.end(
            JSON.stringify({ text, method: request.method, url: request.url, body, headers: request.headers }),
          );
        });
      },
    );
    server.on('upgrade', (_, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: Upgrade\r\n\r\n');
      socket.pipe(socket);
    });
    server.on('secureConnection', (socket) => {
      connections += 1;
      socket.on('close', () => (connections -= 1));
    });
    await new Promise<void>((resolve) => server.listen(ports.https, address, resolve));
    servers.push(server);
  };

  const send = (host: string, options: https.RequestOptions = {}, body?: string) =>
    new Promise<Got>((resolve, reject) => {
      const to = { host: outside.edge, port: ports.https, servername: host, agent };
      const request = https.request({ ...to, ...options, headers: { host, ...options.headers } }, (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () => resolve({ status: answer.statusCode, body: text, headers: answer.headers }));
      });
      request.on('error', reject).end(body);
    });
  const told = async (host: string, options?: https.RequestOptions, body?: string) =>
    JSON.parse((await send(host, options, body)).body) as {
      text: string;
      method: string;
      url: string;
      body: string;
      headers: Record<string, string>;
    };
  const record = (name: string, content: string, more: Record<string, unknown> = {}) =>
    client.dns.records.create({ zone_id, name, type: 'A', content, proxied: true, ttl: 1, ...more } as never);

  before(async () => {
    await world.start();
    agent = world.agent();
    client = world.client();
    zone_id = await world.zoneId();
    await origin(prod, 'prod', ['*.moodtalk.ch']);
    await origin(intg, 'intg', ['*.moodtalk.ch']);
    await origin(plan.prod.publicIp(1), 'other', ['elsewhere.example']);
  });
  after(async () => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    await world.remove();
  });

  it('passes requests on with who sent them, and answers back', async () => {
    await record('admin', prod);
    const options = {
      method: 'POST',
      path: '/a?b=c',
      headers: { 'x-forwarded-for': '192.0.2.1', 'cf-connecting-ip': '192.0.2.9' },
    };
    const got = await told('admin.moodtalk.ch', options, 'hello');
    expect([got.text, got.method, got.url, got.body]).to.deep.equal(['prod', 'POST', '/a?b=c', 'hello']);
    expect(got.headers).to.include({
      host: 'admin.moodtalk.ch',
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '192.0.2.1, 127.0.0.1',
      'cf-connecting-ip': '127.0.0.1',
    });
    const { headers } = await send('admin.moodtalk.ch');
    expect(headers).to.include({ server: 'cloudflare', 'x-origin': 'yes' });
    expect(headers['cf-ray']).to.match(/^[0-9a-f]{16}-ZRH$/);
  });

  it('asks the new origin with the next request after a change, and lets go of the old one', async () => {
    const { id } = await record('api', prod);
    const others = connections;
    await Promise.all(Array.from({ length: 5 }, () => told('api.moodtalk.ch')));
    expect(connections).to.be.greaterThan(others);
    await client.dns.records.edit(id, { zone_id, content: intg } as never);
    expect((await told('api.moodtalk.ch')).text).to.equal('intg');
    const deadline = Date.now() + 2_000;
    while (connections > others + 1 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(connections).to.equal(others + 1);
    await client.dns.records.delete(id, { zone_id });
    expect((await send('api.moodtalk.ch')).status).to.equal(409);
  });

  it('finds an origin by name', async () => {
    await record('target', prod, { proxied: false });
    await record('named', 'target.moodtalk.ch', { type: 'CNAME' });
    expect((await told('named.moodtalk.ch')).text).to.equal('prod');
  });

  it("says in the vendor's numbers what is wrong", async () => {
    await record('refused', plan.intg.publicIp(9));
    await record('wrong', plan.prod.publicIp(1));
    await record('nowhere', 'nothing.moodtalk.ch', { type: 'CNAME' });
    await record('loop', outside.edge);
    const json = { headers: { accept: 'application/json' } };
    const refused = await send('refused.moodtalk.ch', json);
    expect([refused.status, (JSON.parse(refused.body) as { error_code: number }).error_code]).to.deep.equal([521, 521]);
    expect((await send('wrong.moodtalk.ch')).status).to.equal(526);
    expect((await send('nowhere.moodtalk.ch')).status).to.equal(530);
    const codes = async (host: string, servername: string) => {
      const { status, body } = await send(host, { servername });
      return [status, /Error (\d+)/.exec(body)?.[1]];
    };
    expect(await codes('loop.moodtalk.ch', 'loop.moodtalk.ch')).to.deep.equal([403, '1000']);
    expect(await codes('unknown.moodtalk.ch', 'admin.moodtalk.ch')).to.deep.equal([409, '1001']);
    expect(await codes(outside.edge, 'admin.moodtalk.ch')).to.deep.equal([403, '1003']);
  });

  it('has no certificate for a host that is not proxied', async () => {
    const answered = await send('unknown.moodtalk.ch', { agent: false }).then(
      () => 'answered',
      () => 'no TLS',
    );
    expect(answered).to.equal('no TLS');
  });

  it('gives up an origin that does not answer within 5 s, connected or not', async function () {
    const [mute, silent] = [plan.prod.publicIp(5), plan.prod.publicIp(6)];
    const server = net.createServer({ pauseOnConnect: true });
    const held: net.Socket[] = [];
    server.on('connection', (socket) => held.push(socket));
    await new Promise<void>((resolve) => server.listen(ports.https, mute, resolve));
    const table = 'inet standby_edge_test';
    const nft = (rules: string) => execFileSync('nft', ['-f', '-'], { input: `${rules}\n` });
    try {
      if (isRoot)
        nft(`table ${table} { chain output { type filter hook output priority 0; ip daddr ${silent} drop; }; }`);
      await record('mute', mute);
      await record('silent', silent);
      const began = Date.now();
      const [first, second] = await Promise.all([send('mute.moodtalk.ch'), send('silent.moodtalk.ch')]);
      expect(Date.now() - began).to.be.within(4_900, 9_000);
      // Without root nothing can be made to drop packets; then the connection is refused.
      expect([first.status, second.status]).to.deep.equal([525, isRoot ? 522 : 521]);
    } finally {
      if (isRoot) nft(`delete table ${table}`);
      held.forEach((socket) => socket.destroy());
      server.close();
    }
  });

  it('switches protocols', async () => {
    const echoed = await new Promise<string>((resolve, reject) => {
      const headers = { host: 'admin.moodtalk.ch', connection: 'Upgrade', upgrade: 'echo' };
      const to = {
        host: outside.edge,
        port: ports.https,
        servername: 'admin.moodtalk.ch',
        agent: world.agent(),
        headers,
      };
      https
        .request(to)
        .on('upgrade', (_, socket) => {
          socket.once('data', (data: Buffer) => {
            socket.destroy();
            resolve(data.toString());
          });
          socket.write('ping');
        })
        .on('error', reject)
        .end();
    });
    expect(echoed).to.equal('ping');
  });
});
