/** What can be made to go wrong with a site: its API server, its network, its processes, its clocks. */
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { container, named, pod } from '../kubernetes/objects';
import { TestWorld, until } from '../kubernetes/world';

const world = new TestWorld(228);
const { plan, outside, ports, folders } = world.modules.world;

const kubectl = (...args: string[]) =>
  world.kubectl(...args).then(
    () => 'done',
    (cause: { stderr?: string }) => cause.stderr ?? '',
  );

describe('faults of a cluster', function () {
  this.timeout(90_000);
  const { order } = world.modules.rules;

  before(async () => {
    await world.prepare();
    await world.startControlPlane();
    await world.startNode();
  });
  afterEach(() => order('kube-prod'));
  after(() => world.modules.process.stop(() => true));

  it('its API server throttles and fails as often as it is told', async () => {
    const configMap = (name: string) => kubectl('create', 'configmap', name);
    order('kube-prod', { id: '500', match: '^POST .*/configmaps', times: 1, status: 500 });
    expect(await configMap('one')).to.match(/InternalError|a fault was asked for/);
    expect(await configMap('one')).to.equal('done');
    order('kube-prod', { id: '429', match: '^POST .*/configmaps', times: 1, status: 429, retryAfter: 1 });
    expect(await configMap('two')).to.equal('done'); // kubectl waits as long as it is told to
  });

  it('its API server does what it is asked and cuts the answer off, or cuts without doing it', async () => {
    const rule = { match: '^POST .*/configmaps', times: 1 };
    order('kube-prod', { ...rule, id: 'lost', lost: true });
    expect(await kubectl('create', 'configmap', 'lost')).to.match(/failed to create/);
    expect(await kubectl('get', 'configmap', 'lost')).to.equal('done');
    order('kube-prod', { ...rule, id: 'cut', refuse: true });
    expect(await kubectl('create', 'configmap', 'cut')).to.match(/failed to create/);
    expect(await kubectl('get', 'configmap', 'cut')).to.match(/NotFound/);
  });

  it('its API server is silent or late for people, and the node goes on', async () => {
    order('kube-prod', { id: 'silent', match: '.', silent: true });
    expect(await kubectl('get', 'pods', '--request-timeout=1s')).to.match(/Timeout|deadline/i);
    order('kube-prod', { id: 'late', match: '/pods', latencyMs: 700 });
    const began = Date.now();
    expect(await kubectl('get', 'pods')).to.equal('done');
    expect(Date.now() - began).to.be.at.least(700);
    const [node] = world.modules.process.running().filter(({ name }) => name === 'node-prod');
    expect(node).to.not.equal(undefined);
  });

  it('its log tells what was written, and by whom else than the cluster itself', async () => {
    const text = () => fs.readFileSync(world.modules.process.logFile('kube-prod'), 'utf8');
    const before = text().length;
    await kubectl('create', 'configmap', 'logged');
    await kubectl('get', 'configmap', 'logged');
    expect(text().slice(before)).to.match(/ write POST \/api\/v1\/namespaces\/default\/configmaps\n$/);
  });

  it('its pods’ clocks jump and come right again, their monotonic clocks go on', async () => {
    const script = `setInterval(() => console.log(JSON.stringify([Date.now(), new Date().getTime(), performance.now()])), 50)`;
    await world.apply(pod('clock', { containers: [container({ command: ['node', '-e', script] })] }));
    const last = async () => {
      const text = await world.kubectl('logs', 'clock', '--tail=1').catch(() => '');
      return text ? (JSON.parse(text) as [number, number, number]) : undefined;
    };
    const first = await until('the pod', last);
    world.modules.clocks.setClocks('prod', -3600, '^clock$');
    const shifted = await until('a clock that is an hour behind', async () => {
      const [now, made, monotonic] = (await last()) ?? [];
      return now && made && monotonic && now < Date.now() - 3_500_000 ? { now, made, monotonic } : undefined;
    });
    expect(shifted.made - shifted.now).to.be.within(0, 1000);
    expect(shifted.monotonic).to.be.greaterThan(first[2]);
    world.modules.clocks.setClocks('prod', 0);
    await until('a clock that is right', async () => ((await last()) ?? [0])[0] > Date.now() - 60_000 || undefined);
  });

  it('its processes stand still and go on', async () => {
    const script = `let n = 0; setInterval(() => console.log(++n), 20)`;
    await world.apply(pod('counter', { containers: [container({ command: ['node', '-e', script] })] }));
    const count = async () => Number(await world.kubectl('logs', 'counter', '--tail=1').catch(() => 0));
    await until('the pod', async () => ((await count()) > 0 ? true : undefined));
    const { setFrozen } = world.modules.frozen;
    expect(setFrozen('pod/prod/default/counter', true)).to.have.length(1);
    const still = await count();
    await delay(400);
    expect(await count()).to.equal(still);
    setFrozen('pod/prod/default/counter', false);
    await until('the counter', async () => ((await count()) > still ? true : undefined));
    expect(() => setFrozen('pod/prod/default/none', true)).to.throw(/part "pod\/prod\/default\/none" is not known/);
  });

  it('its API server says when rules can’t be read, and serves as if there were none', async () => {
    fs.writeFileSync(world.modules.rules.chaosFiles['kube-prod'], '{"rules": [{"id": "x", "match": "["}]}');
    await world.apply(named('ConfigMap', 'despite', {}));
    expect(fs.readFileSync(world.modules.process.logFile('kube-prod'), 'utf8')).to.match(/chaos\.json can't be used/);
  });
});

describe('an isolated site', function () {
  this.timeout(30_000);
  const { setSilence, meansOfSilence } = world.modules.silence;
  const { start, stop, ready } = world.modules.process;
  const database = plan.prod.database(0);
  const ingress = plan.prod.publicIp(0);

  /** Greets whoever connects, at a place. */
  const serve = async (name: string, host: string, port: number, site?: 'prod' | 'intg') => {
    const script = `require('net').createServer((s) => s.end('hello')).listen(${port}, '${host}', () => console.log('{"ready":true}'))`;
    await start({ name, command: process.execPath, args: ['-e', script], ...(site ? { site } : {}) });
    await ready(name);
  };

  /** What somebody of a site (or of none) hears who connects from an address. */
  const hears = (site: 'prod' | 'intg' | undefined, localAddress: string, host: string, port: number) =>
    new Promise<string>((resolve) => {
      const script = `const s = require('net').connect({ host: '${host}', port: ${port}, localAddress: '${localAddress}' });
        s.on('data', (d) => console.log(String(d))).on('error', (e) => console.log(e.code)); setTimeout(() => process.exit(), 1000);`;
      const child = spawn(process.execPath, ['-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
        ...(site && process.getuid?.() === 0 ? { gid: plan[site].gid } : {}),
      });
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString().trim()));
      child.on('close', () => resolve(said || 'nothing'));
    });

  before(async () => {
    fs.mkdirSync(folders.run, { recursive: true });
    await Promise.all([
      serve('database', database, ports.postgres, 'prod'),
      serve('ingress', ingress, ports.https, 'prod'),
      serve('store', outside.blob, ports.blob),
      serve('resolver', plan.prod.resolver, ports.dns),
      serve('other', plan.intg.publicIp(0), ports.https, 'intg'),
    ]);
  });

  after(async () => {
    if (meansOfSilence() === 'packet filter') setSilence('prod', 'none');
    await stop(() => true);
    await world.remove();
  });

  it('says why it needs root to be isolated', function () {
    if (meansOfSilence() === 'packet filter') this.skip(); // root with nft: it can be
    expect(() => setSilence('prod', 'isolated')).to.throw(/prod can't be isolated: it takes root and nft/);
  });

  it('serves its users from its own database, and is cut off from all else', async function () {
    if (meansOfSilence() !== 'packet filter') this.skip(); // the packet filter is root's
    const ways = () =>
      Promise.all([
        hears(undefined, outside.edge, ingress, ports.https),
        hears('prod', plan.prod.pod(0), database, ports.postgres),
        hears('prod', plan.prod.pod(0), plan.prod.resolver, ports.dns),
        hears('prod', plan.prod.publicIp(1), outside.blob, ports.blob),
        hears('prod', plan.prod.publicIp(1), plan.intg.publicIp(0), ports.https),
        hears('intg', plan.intg.publicIp(1), database, ports.postgres),
        hears(undefined, outside.client, database, ports.postgres),
        hears('intg', plan.intg.publicIp(1), outside.blob, ports.blob),
      ]);
    expect(await ways()).to.deep.equal(Array.from({ length: 8 }, () => 'hello'));
    setSilence('prod', 'isolated');
    expect(world.modules.silence.isCutOff('prod')).to.equal(true);
    const cut = ['nothing', 'nothing', 'nothing', 'nothing'];
    expect(await ways()).to.deep.equal(['hello', 'hello', 'hello', ...cut, 'hello']);
    setSilence('prod', 'none');
    expect(await ways()).to.deep.equal(Array.from({ length: 8 }, () => 'hello'));
  });
});
