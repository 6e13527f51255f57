import { expect } from 'chai';
import { Agent } from '../../components/workload/agent';
import { children, made, one, type Json } from '../components/support';

const digest = 'a'.repeat(64);

describe('the agent’s component', () => {
  const resources = made(
    () =>
      new Agent('agent', {
        ...{ platform: 'acme', company: 'acme', site: 'prod', otherSite: 'intg', active: true, epoch: 3 },
        ...{ writerLease: 'on', image: `ghcr.io/acme/standby-agent:1.0.0@sha256:${digest}`, agentKey: 'key' },
        store: { endpoint: 'https://st.blob.core.windows.net/', container: 'standby' },
        ...{ clientId: 'client', tenantId: 'tenant' },
        database: {
          ...{ host: 'db', port: 5432, database: 'app', identityDatabase: 'keycloak', user: 'admin' },
          password: 'secret word',
        },
        ...{ host: 'standby.prod.internal', address: '203.0.113.1' },
        other: { host: 'standby.intg.internal', address: '203.0.113.2' },
        ...{ deployments: ['api', 'admin'], replicas: 2 },
      }),
  );

  it('is two instances with a service account, a way to them, and the rights to stop the site alone', async () => {
    expect(children(await resources, 'agent')).to.have.members([
      'kubernetes:core/v1:ServiceAccount agent-account',
      'kubernetes:rbac.authorization.k8s.io/v1:Role agent-role',
      'kubernetes:rbac.authorization.k8s.io/v1:RoleBinding agent-binding',
      'kubernetes:core/v1:Secret agent-secret',
      'kubernetes:core/v1:Service agent-service',
      'kubernetes:networking.k8s.io/v1:Ingress agent-ingress',
      'kubernetes:apps/v1:Deployment agent-deployment',
    ]);
    const { rules } = one(await resources, 'kubernetes:rbac.authorization.k8s.io/v1:Role', 'agent-role').inputs as {
      rules: { resources: string[]; verbs: string[] }[];
    };
    const may = rules.flatMap(({ resources: kinds, verbs }) => verbs.map((verb) => `${verb} ${kinds.join()}`));
    expect(may.filter((right) => /secrets|configmaps|\*|create (?!leases)/.test(right))).to.deep.equal([]);
  });

  it('names no secret outside its Secret, and logs in as the service account that the identity trusts', async () => {
    const deployment = one(await resources, 'kubernetes:apps/v1:Deployment', 'agent-deployment');
    const text = JSON.stringify(deployment.inputs);
    expect(text).not.to.contain('secret word');
    const spec = (deployment.inputs as { spec: { replicas: number; template: { spec: Json } } }).spec;
    expect(spec.replicas).to.equal(2);
    expect(spec.template.spec).to.include({ serviceAccountName: 'standby-agent', automountServiceAccountToken: false });
    expect(text).to.contain('"audience":"api://AzureADTokenExchange"');
    expect(one(await resources, 'kubernetes:core/v1:Secret', 'agent-secret').secrets).to.not.deep.equal([]);
  });

  it('may take longer to be ready for the first time than a new role takes to count', async () => {
    const { createTimeout } = one(await resources, 'kubernetes:apps/v1:Deployment', 'agent-deployment');
    expect(createTimeout).to.equal('15m');
  });

  it('is asked also while it is not ready', async () => {
    const service = one(await resources, 'kubernetes:core/v1:Service', 'agent-service').inputs as { spec: Json };
    expect(service.spec).to.include({ publishNotReadyAddresses: true });
  });
});
