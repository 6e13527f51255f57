import { expect } from 'chai';
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as https from 'node:https';
import { rootCertificates, type TLSSocket } from 'node:tls';
import { request } from 'undici';
import { publicAuthorities } from '../../components/workload/publicAuthorities';
import { referenceTo } from '../../sandbox/application/registry';
import { NameServer } from './names';
import { container, controller, deployment, externalService, image, ingress, named, pod, service } from './objects';
import { TestWorld, until } from './world';

interface Echo {
  readonly pod: string;
  readonly address: string;
  readonly podIp: string;
  readonly greeting: string;
  readonly token: string;
  readonly file: string;
  readonly servername?: string;
  readonly headers: Readonly<Record<string, string>>;
}

const readiness = { httpGet: { path: '/', port: 'http' }, periodSeconds: 1 };
const podIp = { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } };

describe('a cluster of the sandbox', function () {
  this.timeout(60_000);
  const world = new TestWorld(61);
  const names = new NameServer();
  const kubectl = (...args: string[]) => world.kubectl(...args);

  const processes = (part: string) =>
    world.modules.process.running().filter((record) => record.name.startsWith('pod/') && record.name.includes(part));
  const json = async <T>(...args: string[]) => JSON.parse(await kubectl(...args, '-o', 'json')) as T;

  /** A request from outside, to a host of the ingress. */
  async function visit(host: string, path = '/'): Promise<{ status: number; body: Echo; text: string }> {
    const agent = world.modules.outside.outsideAgent({ pipelining: 0 });
    try {
      const answer = await request(`https://${host}${path}`, { dispatcher: agent });
      const text = await answer.body.text();
      return { status: answer.statusCode, text, body: (text.startsWith('{') ? JSON.parse(text) : {}) as Echo };
    } finally {
      await agent.close();
    }
  }

  before(async () => {
    await world.prepare();
    await names.listen(world.modules.world.outside.publicDns);
    await names.listen(world.plan.resolver);
    for (const host of ['web', 'away']) names.table.set(`${host}.moodtalk.ch`, [world.plan.publicIp(0)]);
    await world.startControlPlane();
    await world.startNode();
    await world.apply(controller(world.plan.publicIp(0)));
  });

  after(async () => {
    names.close();
    await world.remove();
  });

  it('rolls a deployment out, reached by its host name through the ingress', async () => {
    await world.apply(
      named('ConfigMap', 'settings', { data: { GREETING: 'hello', 'a.txt': 'from a file' } }),
      named('Secret', 'secrets', { stringData: { token: 's3cr3t' } }),
      service('web'),
      ingress('web', 'web.moodtalk.ch', 80),
      deployment('web', 2, {
        containers: [
          container({
            readinessProbe: readiness,
            envFrom: [{ configMapRef: { name: 'settings' } }],
            env: [
              podIp,
              { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'secrets', key: 'token' } } },
              { name: 'FILE', value: '/etc/settings/a.txt' },
            ],
            volumeMounts: [{ name: 'settings', mountPath: '/etc/settings' }],
            resources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '128Mi' } },
          }),
        ],
        volumes: [{ name: 'settings', configMap: { name: 'settings' } }],
      }),
    );
    await kubectl('rollout', 'status', 'deployment/web', '--timeout=20s');
    const first = (await visit('web.moodtalk.ch')).body;
    // A pod that is ready is in the Service a moment later.
    await until(
      'the other pod answers too',
      async () => (await visit('web.moodtalk.ch')).body.pod !== first.pod || undefined,
    );
    expect(first).to.include({ greeting: 'hello', token: 's3cr3t', file: 'from a file' });
    expect(first.podIp)
      .to.equal(first.address)
      .and.to.match(/^127\.61\.10\.1[5-9]\d$/);
    expect(first.headers).to.include({ 'x-forwarded-proto': 'https', 'x-forwarded-host': 'web.moodtalk.ch' });
    expect(first.headers['x-forwarded-for']).to.equal(world.modules.world.outside.client);
    const { status } = await json<{ status: object }>('get', 'ingress', 'web');
    expect(status).to.deep.equal({ loadBalancer: { ingress: [{ ip: world.plan.publicIp(0) }] } });
  });

  it('keeps its processes to the group of the site, and a secret out of the process list', () => {
    for (const { pid } of processes('web')) {
      const gid = /^Gid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      if (world.modules.process.isRoot) expect(Number(gid)).to.equal(world.plan.gid);
      expect(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.to.include('s3cr3t');
    }
    expect(processes('web')).to.have.length(2);
  });

  it('shows logs, and follows them to the end of the container', async () => {
    await world.apply(pod('chatty', { containers: [container({ readinessProbe: readiness })] }));
    await kubectl('wait', '--for=condition=Ready', 'pod/chatty', '--timeout=10s');
    expect(await kubectl('logs', 'chatty')).to.match(/^listening\nasked for \//);
    const following = spawn('kubectl', ['--kubeconfig', world.kubeconfig, 'logs', '-f', 'chatty']);
    const ended = new Promise((resolve) => following.once('exit', resolve));
    let text = '';
    following.stdout.on('data', (more: Buffer) => (text += more.toString()));
    await until('the first line', () => text.includes('listening') || undefined);
    await kubectl('delete', 'pod', 'chatty');
    expect(await ended).to.equal(0);
    expect(text).to.include('good-bye');
  });

  it('stops the process before the pod disappears', async () => {
    const slow = `process.on('SIGTERM', () => setTimeout(() => process.exit(0), 1200)); setInterval(() => {}, 1e3); console.log('up')`;
    await world.apply(pod('brief', { containers: [container({ command: ['node', '-e', slow] })] }));
    await until('it runs', async () => (await kubectl('logs', 'brief').catch(() => '')).includes('up') || undefined);
    await kubectl('delete', 'pod', 'brief', '--wait=false');
    expect(processes('/brief/')).to.have.length(1);
    const left = await until('the pod is gone', async () => {
      const there = await kubectl('get', 'pod', 'brief', '--ignore-not-found', '-o', 'name');
      return there ? undefined : processes('/brief/');
    });
    expect(left).to.deep.equal([]);
  });

  it('kills what does not end within its grace', async () => {
    const stubborn = `process.on('SIGTERM', () => {}); setInterval(() => {}, 1e3); console.log('up')`;
    const spec = { terminationGracePeriodSeconds: 1, containers: [container({ command: ['node', '-e', stubborn] })] };
    await world.apply(pod('stubborn', spec));
    await until('it runs', async () => (await kubectl('logs', 'stubborn').catch(() => '')).includes('up') || undefined);
    const began = Date.now();
    await kubectl('delete', 'pod', 'stubborn');
    expect(Date.now() - began).to.be.within(900, 5_000);
    expect(processes('/stubborn/')).to.have.length(0);
  });

  it('refuses an image that the registry does not have by this digest', async () => {
    const bad = image.replace(/[0-9a-f]{8}$/, '00000000');
    await world.apply(pod('bad', { containers: [container({ image: bad })] }));
    await world.apply(pod('tagged', { containers: [container({ image: image.replace(/@.*/, '') })] }));
    for (const name of ['bad', 'tagged']) {
      const reason = await until('the reason', async () => {
        const path = 'jsonpath={.status.containerStatuses[0].state.waiting.reason}';
        const word = await kubectl('get', 'pod', name, '-o', path);
        return /Image/.test(word) ? word : undefined;
      });
      expect(reason).to.be.oneOf(['ErrImagePull', 'ImagePullBackOff']);
    }
    await kubectl('delete', 'pod', 'bad', 'tagged');
  });

  it('starts a container again when its liveness probe fails, and after its process ended', async () => {
    const livenessProbe = { httpGet: { path: '/healthz', port: 'http' }, periodSeconds: 1, failureThreshold: 1 };
    const startupProbe = { tcpSocket: { port: 'http' } };
    const readinessProbe = { exec: { command: ['sh', '-c', 'test "$POD_IP"'] }, periodSeconds: 1 };
    await world.apply(
      pod('frail', { containers: [container({ livenessProbe, startupProbe, readinessProbe, env: [podIp] })] }),
    );
    await kubectl('wait', '--for=condition=Ready', 'pod/frail', '--timeout=10s');
    const { status } = await json<{ status: { podIP: string } }>('get', 'pod', 'frail');
    await request(`http://${status.podIP.replace(/^10\./, '127.')}:8080/sick`);
    const restarts = (count: number) =>
      until(`${count} restarts`, async () => {
        const path = 'jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}';
        return (await kubectl('get', 'pod', 'frail', '-o', path)) === `${count} true` || undefined;
      });
    await restarts(1);
    expect(await kubectl('logs', 'frail', '--previous')).to.include('asked for /sick');
    const [record] = processes('/frail/');
    process.kill(-(record?.pid ?? 0), 'SIGKILL');
    await restarts(2);
    await kubectl('delete', 'pod', 'frail');
  });

  it('runs init containers first, and a job to its end', async () => {
    const say = (word: string) => container({ command: ['node', '-e', `console.log('${word}')`] });
    const spec = {
      restartPolicy: 'Never',
      initContainers: [{ ...say('first'), name: 'init' }],
      containers: [say('second')],
    };
    await world.apply({ ...named('Job', 'once', { spec: { template: { spec } } }), apiVersion: 'batch/v1' });
    await kubectl('wait', '--for=condition=Complete', 'job/once', '--timeout=15s');
    expect(await kubectl('logs', 'job/once', '-c', 'init')).to.equal('first\n');
    expect(await kubectl('logs', 'job/once', '-c', 'main')).to.equal('second\n');
  });

  it('fills volumes as a kubelet does: with the modes that are asked for, and the pod’s group', async () => {
    const look = `const fs = require('fs');
      const of = (name) => { const { mode, gid } = fs.statSync(process.env[name]); return [(mode & 0o777).toString(8), gid]; };
      fs.writeFileSync(process.env.ROOM + '/file', 'x');
      console.log(JSON.stringify({ secret: of('SECRET'), settings: of('SETTINGS'), room: of('ROOM'), where: process.env.ROOM }));
      setInterval(() => {}, 1e3);`;
    const paths = { SECRET: '/run/keys/token', SETTINGS: '/etc/settings/a.txt', ROOM: '/scratch' };
    await world.apply(
      pod('volumes', {
        securityContext: { fsGroup: 10001 },
        containers: [
          container({
            command: ['node', '-e', look],
            env: Object.entries(paths).map(([name, value]) => ({ name, value })),
            volumeMounts: [
              { name: 'keys', mountPath: '/run/keys', readOnly: true },
              { name: 'settings', mountPath: '/etc/settings' },
              { name: 'room', mountPath: '/scratch' },
            ],
          }),
        ],
        volumes: [
          { name: 'keys', secret: { secretName: 'secrets', defaultMode: 0o400 } },
          { name: 'settings', configMap: { name: 'settings' } },
          { name: 'room', emptyDir: {} },
        ],
      }),
    );
    const text = await until(
      'what it found',
      async () => (await kubectl('logs', 'volumes').catch(() => '')) || undefined,
    );
    const found = JSON.parse(text) as Record<'secret' | 'settings' | 'room', [string, number]> & { where: string };
    const group = world.modules.process.isRoot ? 10001 : (process.getgid?.() ?? 0);
    expect(found).to.deep.include({ secret: ['440', group], settings: ['644', group], room: ['777', group] });
    expect(fs.readFileSync(`${found.where}/file`, 'utf8')).to.equal('x');
    await kubectl('delete', 'pod', 'volumes', '--grace-period=1');
    await until('it is gone', () => !fs.existsSync(found.where) || undefined);
  });

  it('numbers the pods of an indexed job, and runs an image as the user that it has', async () => {
    const args = [
      'node',
      '-e',
      "console.log(process.argv[1] + ' ' + process.getuid())",
      'share $(JOB_COMPLETION_INDEX)/2',
    ];
    const spec = {
      restartPolicy: 'Never',
      containers: [container({ image: referenceTo('ghcr.io/moodtalk/standby', '0.1.0'), command: args })],
    };
    const job = { completions: 2, parallelism: 2, completionMode: 'Indexed', template: { spec } };
    await world.apply({ ...named('Job', 'shares', { spec: job }), apiVersion: 'batch/v1' });
    await kubectl('wait', '--for=condition=Complete', 'job/shares', '--timeout=15s');
    const lines = (await kubectl('logs', '-l', 'job-name=shares')).trim().split('\n').sort();
    const user = world.modules.process.isRoot
      ? execFileSync('id', ['-u', 'postgres'], { encoding: 'utf8' }).trim()
      : process.getuid?.();
    expect(lines).to.deep.equal([`share 0/2 ${user}`, `share 1/2 ${user}`]);
  });

  it('gives a Service of type LoadBalancer the public address that it asks for, and serves it there', async () => {
    const address = world.plan.publicIp(2);
    const annotations = { 'service.beta.kubernetes.io/azure-load-balancer-ipv4': address };
    const balanced = named('Service', 'balanced', {
      spec: { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'http' }] },
    });
    await world.apply({ ...balanced, metadata: { ...balanced.metadata, annotations } });
    await kubectl('wait', `--for=jsonpath={.status.loadBalancer.ingress[0].ip}=${address}`, 'service/balanced');
    const body = await until('an answer', async () => {
      const answer = await request(`http://${address}:8080/`).catch(() => undefined);
      return answer?.body.json() as Promise<Echo> | undefined;
    });
    expect(body.pod).to.match(/^web-/);
    await kubectl('delete', 'service', 'balanced');
  });

  describe('with an ExternalName backend behind TLS', () => {
    const host = 'idp.internal.azurecontainerapps.io';
    const nginx = 'nginx.ingress.kubernetes.io';
    const annotations = {
      [`${nginx}/backend-protocol`]: 'HTTPS',
      [`${nginx}/upstream-vhost`]: host,
      [`${nginx}/proxy-ssl-server-name`]: 'on',
      [`${nginx}/proxy-ssl-name`]: host,
      [`${nginx}/proxy-ssl-verify`]: 'on',
    };
    const secret = { [`${nginx}/proxy-ssl-secret`]: 'default/authorities' };
    const authorities = (pem: string) => named('Secret', 'authorities', { stringData: { 'ca.crt': pem } });
    let upstream: https.Server;

    before(async () => {
      const address = world.plan.containerApp(0);
      names.table.set(host, [address]);
      upstream = https.createServer(await world.modules.authority.issue([host]), (incoming, response) => {
        const { remoteAddress, servername } = incoming.socket as TLSSocket;
        response.end(JSON.stringify({ headers: incoming.headers, address: remoteAddress, servername }));
      });
      await new Promise<void>((resolve) => upstream.listen(8443, address, resolve));
      await world.apply(externalService('away', host));
    });

    after(() => {
      upstream.closeAllConnections();
      upstream.close();
    });

    const answers = (status: number) =>
      until(`an answer with ${status}`, async () => {
        const answer = await visit('away.moodtalk.ch');
        return answer.status === status ? answer : undefined;
      });

    it('names no host in the handshake without a secret, whatever else is annotated: the upstream resets it', async () => {
      await world.apply(ingress('away', 'away.moodtalk.ch', 443, annotations));
      await answers(502);
    });

    it('refuses while the secret is missing, and an upstream that none of its authorities has signed', async () => {
      await world.apply(ingress('away', 'away.moodtalk.ch', 443, { ...annotations, ...secret }));
      await answers(503);
      await world.apply(authorities(rootCertificates[0] ?? ''));
      await answers(502);
    });

    it('sends it to its name, in the handshake and as the host that the annotation says', async () => {
      await world.apply(authorities(publicAuthorities()));
      const { body } = await answers(200);
      expect(body.servername).to.equal(host);
      expect(body.headers['host']).to.equal(host);
      expect(body.headers['x-forwarded-host']).to.equal('away.moodtalk.ch');
      expect(body.address).to.equal(world.plan.publicIp(0));
    });

    it('refuses an upstream whose certificate is for another name', async () => {
      const other = { [`${nginx}/proxy-ssl-name`]: 'other.internal.azurecontainerapps.io' };
      await world.apply(ingress('away', 'away.moodtalk.ch', 443, { ...annotations, ...secret, ...other }));
      await answers(502);
    });
  });

  it('adopts running pods after a kill of the agent, and ends those that were deleted meanwhile', async () => {
    await world.apply(pod('doomed', { containers: [container({ readinessProbe: readiness })] }));
    await kubectl('wait', '--for=condition=Ready', 'pod/doomed', '--timeout=10s');
    const before = processes('/web-').map((record) => record.pid);
    await world.kill('node-prod');
    await kubectl('delete', 'pod', 'doomed', '--wait=false');
    expect(processes('/doomed/')).to.have.length(1);
    await world.startNode();
    await kubectl('wait', '--for=delete', 'pod/doomed', '--timeout=10s');
    expect(processes('/doomed/')).to.have.length(0);
    expect(processes('/web-').map((record) => record.pid)).to.have.members(before);
    expect((await visit('web.moodtalk.ch')).status).to.equal(200);
  });

  it('is the same cluster after a kill of the control plane', async () => {
    const before = processes('/web-').map((record) => record.pid);
    await world.kill('kube-prod');
    await world.startControlPlane();
    expect((await visit('web.moodtalk.ch')).status).to.equal(200);
    await kubectl('scale', 'deployment/web', '--replicas=3');
    await kubectl('rollout', 'status', 'deployment/web', '--timeout=30s');
    expect(processes('/web-').map((record) => record.pid)).to.include.members(before);
  });

  it('answers 503 when no endpoint is ready, and 404 for a host that no rule names', async () => {
    await kubectl('scale', 'deployment/web', '--replicas=0');
    await kubectl('wait', '--for=delete', 'pod', '-l', 'app=web', '--timeout=10s');
    expect(processes('/web-')).to.have.length(0);
    await until('503', async () => ((await visit('web.moodtalk.ch')).status === 503 ? true : undefined));
    names.table.set('other.moodtalk.ch', [world.plan.publicIp(0)]);
    const answer = await visit('other.moodtalk.ch').catch((cause: unknown) => cause as Error & { code: string });
    expect(answer).to.have.property('code', 'ERR_TLS_CERT_ALTNAME_INVALID');
  });
});
