import { expect } from 'chai';
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as https from 'node:https';
import * as net from 'node:net';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { request } from 'undici';
import { NameServer } from '../kubernetes/names';
import { TestWorld } from '../kubernetes/world';

const run = promisify(execFile);

describe('the network hook', function () {
  this.timeout(30_000);
  const world = new TestWorld(63);
  const { plan, folders, outside } = world.modules.world;
  const names = new NameServer();
  const pod = plan.intg.pod(3);
  const egress = plan.intg.publicIp(1);
  const far = plan.prod.database(2);
  const near = plan.intg.containerApp(4);
  const servers: net.Server[] = [];

  const inPod = () => world.modules.standpoints.standpointIn('intg', pod);

  /** What a process at INTG's pod address, or elsewhere, sees: the JSON that `code` prints. */
  async function at(code: string, standpoint: object = inPod()): Promise<unknown> {
    const { stdout } = await run(process.execPath, ['-e', code], {
      env: {
        NODE_OPTIONS: `--require ${path.join(folders.build, 'hook.js')}`,
        NODE_EXTRA_CA_CERTS: world.modules.authority.authorityFile,
        STANDBY_NET: JSON.stringify(standpoint),
      },
    });
    return JSON.parse(stdout) as unknown;
  }

  before(async () => {
    await world.prepare();
    await names.listen(plan.intg.resolver);
    await names.listen(outside.publicDns);
    const certificate = await world.modules.authority.issue(['*.moodtalk.ch']);
    for (const address of [far, near]) {
      const secure = https.createServer(certificate, (incoming, response) => {
        response.end(JSON.stringify({ from: incoming.socket.remoteAddress, host: incoming.headers.host }));
      });
      const plain = net.createServer((socket) => socket.end(JSON.stringify(socket.remoteAddress)));
      await new Promise<void>((resolve) => secure.listen(8443, address, resolve));
      await new Promise<void>((resolve) => plain.listen(5432, address, resolve));
      servers.push(secure, plain);
    }
    names.table.set('far.moodtalk.ch', [far]);
    names.table.set('near.moodtalk.ch', [near]);
    names.long.add('near.moodtalk.ch');
    names.silent.add('silent.moodtalk.ch');
  });

  after(async () => {
    for (const server of servers) server.close();
    names.close();
    await world.remove();
  });

  const get = (host: string) => `fetch('https://${host}/').then((r) => r.text()).then(console.log)`;

  it('leaves by the own address inside the site, and by the egress address once there is one', async () => {
    expect(await at(get('near.moodtalk.ch'))).to.deep.equal({ from: pod, host: 'near.moodtalk.ch' });
    expect(await at(get('far.moodtalk.ch'))).to.deep.equal({ from: pod, host: 'far.moodtalk.ch' });
    fs.mkdirSync(folders.azure, { recursive: true });
    fs.writeFileSync(path.join(folders.azure, 'network-intg.json'), JSON.stringify({ egressAddress: egress }));
    expect(await at(get('far.moodtalk.ch'))).to.deep.equal({ from: egress, host: 'far.moodtalk.ch' });
    expect(await at(get('near.moodtalk.ch'))).to.deep.equal({ from: pod, host: 'near.moodtalk.ch' });
    const raw = `net.connect(5432, 'far.moodtalk.ch').on('data', (d) => console.log(String(d)))`;
    expect(await at(raw)).to.equal(egress);
  });

  it('asks the given resolver from its own address, over TCP when UDP cuts the answer short', async () => {
    names.asked.length = 0;
    const lookup = `dns.lookup('near.moodtalk.ch', { all: true }, (e, list) => console.log(JSON.stringify(list)))`;
    expect(await at(lookup)).to.deep.equal([{ address: near, family: 4 }]);
    expect(names.asked.map(({ from, over }) => [from, over])).to.deep.equal([
      [pod, 'udp'],
      [pod, 'tcp'],
    ]);
  });

  it('keeps an answer for its time to live', async () => {
    names.asked.length = 0;
    const twice = `(async () => { for (let i = 0; i < 3; i++) await dns.promises.lookup('far.moodtalk.ch'); console.log(1); })()`;
    await at(twice);
    expect(names.asked).to.have.length(1);
  });

  it('says ENOTFOUND for a name that is not there, EAI_AGAIN in 4 s for a resolver that is silent', async () => {
    const code = (host: string) =>
      `const t = Date.now(); net.connect(443, '${host}').on('error', (e) => console.log(JSON.stringify([e.code, Date.now() - t])))`;
    expect(await at(code('nobody.moodtalk.ch'))).to.have.property('0', 'ENOTFOUND');
    const [why, ms] = (await at(code('silent.moodtalk.ch'))) as [string, number];
    expect(why).to.equal('EAI_AGAIN');
    expect(ms).to.be.within(3_900, 6_000);
  });

  it('listens on the own address, and leaves the machine itself alone', async () => {
    const listen = `const s = net.createServer().listen(8080, () => {
      const local = net.createServer((c) => c.end('x')).listen(0, '127.0.0.1', () => net.connect(local.address().port, 'localhost')
        .on('data', (d) => { console.log(JSON.stringify([s.address().address, local.address().address, String(d)])); process.exit(); })); })`;
    expect(await at(listen)).to.deep.equal([pod, '127.0.0.1', 'x']);
  });

  it('puts an operator outside both sites, on a machine whose programs find each other', async () => {
    const operator = world.modules.standpoints.outsideStandpoint;
    expect(await at(get('far.moodtalk.ch'), operator)).to.deep.equal({ from: outside.client, host: 'far.moodtalk.ch' });
    const everywhere = `const s = net.createServer((c) => c.end('"x"')).listen(0, () =>
      net.connect(s.address().port, '127.0.0.1').on('data', (d) => { console.log(String(d)); process.exit(); }))`;
    expect(await at(everywhere, operator)).to.equal('x');
  });

  it('leaves a resolver its own servers', async () => {
    names.asked.length = 0;
    const code = `const r = new dns.Resolver(); r.setServers(['${outside.publicDns}:5353']);
      r.resolve4('far.moodtalk.ch', (e, list) => console.log(JSON.stringify(list)))`;
    expect(await at(code)).to.deep.equal([far]);
    expect(names.asked.map(({ name }) => name)).to.deep.equal(['far.moodtalk.ch']);
  });

  it('gives the outside client its own address and the public resolver, and checks names', async () => {
    const agent = world.modules.outside.outsideAgent();
    const answer = await request('https://far.moodtalk.ch/', { dispatcher: agent });
    expect(await answer.body.json()).to.deep.equal({ from: outside.client, host: 'far.moodtalk.ch' });
    names.table.set('wrong.example', [far]);
    const refusal = await request('https://wrong.example/', { dispatcher: agent }).catch((cause: unknown) => cause);
    expect(refusal).to.have.property('code', 'ERR_TLS_CERT_ALTNAME_INVALID');
    await agent.destroy();
    expect(await world.modules.outside.resolve('near.moodtalk.ch', outside.publicDns)).to.deep.equal([near]);
  });
});
