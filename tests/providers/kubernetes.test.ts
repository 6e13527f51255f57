import { expect } from 'chai';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { kubernetes } from '../../sandbox/providers/kubernetes';
import { Project } from './engine';
import { Kubelet } from './kubelet';
import { World } from './world';

interface Variant {
  readonly image: string;
  readonly replicas: number;
  readonly secret: string;
  readonly config: string;
}

const base: Variant = { image: 'one', replicas: 2, secret: 'first-secret', config: 'a' };

const program = (kubeconfigs: Readonly<Record<string, string>>, { image, replicas, secret, config }: Variant) => `
  const pulumi = require('@pulumi/pulumi');
  const k8s = require('@pulumi/kubernetes');
  for (const [site, kubeconfig] of Object.entries(${JSON.stringify(kubeconfigs)})) {
    const provider = new k8s.Provider(site, { kubeconfig, enableSecretMutable: true });
    const make = (Kind, name, args) => new Kind(site + '-' + name, args, { provider });
    const space = make(k8s.core.v1.Namespace, 'space', { metadata: { name: 'trial' } });
    const namespace = space.metadata.name;
    const secret = make(k8s.core.v1.Secret, 'secret', { metadata: { namespace }, stringData: { password: pulumi.secret('${secret}'), site } });
    const config = make(k8s.core.v1.ConfigMap, 'config', { metadata: { namespace, name: 'config' }, data: { value: '${config}' } });
    const labels = { app: 'web' };
    const web = make(k8s.apps.v1.Deployment, 'web', {
      metadata: { namespace, name: 'web' },
      spec: { replicas: ${replicas}, selector: { matchLabels: labels }, progressDeadlineSeconds: 3,
        template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: '${image}', env: [{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: secret.metadata.name, key: 'password' } } }] }] } } },
    });
    const service = make(k8s.core.v1.Service, 'service', { metadata: { namespace, name: 'web', annotations: { 'pulumi.com/skipAwait': '${replicas === 0}' } }, spec: { selector: labels, ports: [{ port: 80 }] } });
    const outside = make(k8s.core.v1.Service, 'outside', { metadata: { namespace, name: 'idp' }, spec: { type: 'ExternalName', externalName: 'idp.example.org' } });
    const path = (name) => ({ path: '/', pathType: 'Prefix', backend: { service: { name, port: { number: 80 } } } });
    make(k8s.networking.v1.Ingress, 'ingress', { metadata: { namespace, name: 'hosts' }, spec: { ingressClassName: 'outside', rules: [
      { host: 'web.example.org', http: { paths: [path(service.metadata.name)] } }, { host: 'idp.example.org', http: { paths: [path(outside.metadata.name)] } }] } });
    make(k8s.networking.v1.NetworkPolicy, 'policy', { metadata: { namespace, name: 'deny' }, spec: { podSelector: {}, policyTypes: ['Ingress'] } });
    make(k8s.apiextensions.CustomResource, 'controller', { apiVersion: 'approuting.kubernetes.azure.com/v1alpha1', kind: 'NginxIngressController', metadata: { name: 'outside' },
      spec: { ingressClassName: 'outside', controllerNamePrefix: 'nginx' } });
    exports[site] = { ready: web.status.readyReplicas, secret: secret.metadata.name, data: secret.data };
  }
`;

describe('providers: kubernetes', function () {
  this.timeout(240_000);
  const world = new World(223);
  const kubelets: Kubelet[] = [];
  let project: Project;
  let kubeconfigs: Record<string, string>;
  const up = (variant: Partial<Variant>) => project.up(program(kubeconfigs, { ...base, ...variant }));
  const object = (path: string) => Promise.all(kubelets.map((kubelet) => kubelet.get(path)));

  before(async () => {
    const [prod, intg] = await Promise.all([world.cluster('prod'), world.cluster('intg'), world.start('providers')]);
    // One as a path, one as content: both are allowed.
    kubeconfigs = { prod, intg: fs.readFileSync(intg, 'utf8') };
    kubelets.push(new Kubelet(prod), new Kubelet(intg));
    project = await Project.start(world.places.providers, world.env);
  });
  after(async () => {
    await Promise.all(kubelets.map((kubelet) => kubelet.stop()));
    project?.stop();
    await world.stop();
  });

  it('keeps two clusters in one program: made, untouched, changed, scaled to zero, refused, removed', async () => {
    expect((await up({})).changes).to.deep.equal({ create: 21 });
    const outputs = await project.outputs();
    const [prod, intg] = ['prod', 'intg'].map(
      (site) => outputs[site] as { ready: number; secret: string; data: Record<string, string> },
    );
    expect([prod?.ready, intg?.ready]).to.deep.equal([2, 2]);
    expect(prod?.secret).to.match(/^prod-secret-[0-9a-f]{8}$/);
    expect(Buffer.from(intg?.data['site'] ?? '', 'base64').toString()).to.equal('intg');
    const state = await project.state();
    for (const secret of ['first-secret', Buffer.from('first-secret').toString('base64')])
      expect(state).to.not.include(secret);
    const owner = (await object('/apis/apps/v1/namespaces/trial/deployments/web')).map(
      (live) => live?.metadata.managedFields[0]?.manager,
    );
    expect(new Set(owner)).to.have.property('size', 2); // one name for each resource

    expect((await up({})).changes).to.deep.equal({ same: 21 });

    // A new image and a new secret in place; a ConfigMap of a fixed name is deleted and made anew.
    const changed = await up({ image: 'two', secret: 'second', config: 'b' });
    expect(changed.changes).to.deep.equal({ same: 15, update: 4, replace: 2 });
    expect((await object('/api/v1/namespaces/trial/configmaps/config')).map((live) => live?.data)).to.deep.equal([
      { value: 'b' },
      { value: 'b' },
    ]);

    await up({ image: 'two', secret: 'second', config: 'b', replicas: 0 });
    expect((await object('/api/v1/namespaces/trial/pods')).map((list) => list?.items)).to.deep.equal([[], []]);

    const refused = await project.refusal(
      program(kubeconfigs, { ...base, ...{ image: 'broken', secret: 'second', config: 'b' } }),
    );
    expect(refused).to.match(/Pod web-\w+-\w+: container web: \[ImagePullBackOff\] no such image/);
    expect(refused).to.include('[ProgressDeadlineExceeded]');

    expect((await project.destroy()).changes).to.deep.equal({ delete: 21 });
    expect(await object('/api/v1/namespaces/trial')).to.deep.equal([undefined, undefined]);
  });
});

describe('providers: kubernetes, cluster out of reach', () => {
  it('says so in one line, within ten seconds', async () => {
    // Accepts connections and never answers, as a region does that is gone.
    const silent = createServer();
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const { port } = silent.address() as AddressInfo;
    const provider = kubernetes.configure({
      kubeconfig: JSON.stringify({
        clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${port}` } }],
        users: [],
        contexts: [{ name: 'c', context: { cluster: 'c' } }],
        'current-context': 'c',
      }),
    });
    const began = Date.now();
    const inputs = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } };
    const call = {
      urn: 'urn:a',
      type: 'kubernetes:core/v1:ConfigMap',
      name: 'a',
      inputs,
      signal: new AbortController().signal,
    };
    const message = await provider.create(call).then(String, (cause: Error) => cause.message);
    silent.close();
    expect(message).to.match(new RegExp(`^the Kubernetes cluster at https://127.0.0.1:${port} is unreachable: .+$`));
    expect(Date.now() - began).to.be.lessThan(12_000);
  }).timeout(15_000);
});
