/** A cluster's tokens: judged by what their issuer publishes, also while the cluster is gone. */
import { ManagedServiceIdentityClient } from '@azure/arm-msi';
import { ResourceManagementClient } from '@azure/arm-resources';
import { ClientAssertionCredential } from '@azure/identity';
import { expect } from 'chai';
import { SignJWT } from 'jose';
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Service, address, subscription } from './service';

const group = 'rg-federation';
const audience = 'api://AzureADTokenExchange';
const subject = 'system:serviceaccount:moodtalk:standby-agent';

describe('azure: federated tokens of a cluster', function () {
  this.timeout(60_000);
  const service = new Service();
  const issuerOf = (site: string) => `https://${address(30, 11)}:8443/clusters/${site}/`;
  const keys = new Map<string, KeyObject>();
  let identity: { readonly clientId: string; readonly tenantId: string };

  before(async () => {
    for (const site of ['prod', 'intg']) {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const folder = path.join(service.home, 'run', 'kubernetes', site, 'pki');
      fs.mkdirSync(folder, { recursive: true });
      fs.writeFileSync(path.join(folder, 'service-accounts.key'), privateKey.export({ type: 'sec1', format: 'pem' }));
      keys.set(site, privateKey);
    }
    await service.start();
    const resources = new ResourceManagementClient(service.credential, subscription, service.options);
    await resources.resourceGroups.createOrUpdate(group, { location: 'westeurope' });
    const identities = new ManagedServiceIdentityClient(service.credential, subscription, service.options);
    const made = await identities.userAssignedIdentities.createOrUpdate(group, 'id-x-prod', { location: 'westeurope' });
    await identities.federatedIdentityCredentials.createOrUpdate(group, 'id-x-prod', 'standby-agent', {
      ...{ issuer: issuerOf('prod'), subject, audiences: [audience] },
    });
    identity = { clientId: made.clientId ?? '', tenantId: made.tenantId ?? '' };
  });
  after(() => service.stop());

  /** As the API server signs it: the key id is the digest of the public key. */
  async function token(site: string, signer: string, claims: { sub?: string; aud?: string } = {}): Promise<string> {
    const key = keys.get(signer) as KeyObject;
    const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
    return new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: createHash('sha256').update(publicKey).digest('base64url') })
      .setIssuer(issuerOf(site))
      .setSubject(claims.sub ?? subject)
      .setAudience(claims.aud ?? audience)
      .setIssuedAt()
      .setExpirationTime('10m')
      .sign(key);
  }

  const login = async (assertion: string) => {
    const options = { authorityHost: `https://${address(30, 11)}:8443`, disableInstanceDiscovery: true };
    const credential = new ClientAssertionCredential(
      identity.tenantId,
      identity.clientId,
      () => Promise.resolve(assertion),
      { ...options, tlsOptions: service.options.tlsOptions },
    );
    return (await credential.getToken('https://storage.azure.com/.default')).token;
  };
  const refusal = (assertion: string) => login(assertion).then(() => 'accepted', String);

  it('lets the service account of the cluster in', async () => {
    expect(await login(await token('prod', 'prod'))).to.match(/^ey/);
  });

  it('lets nobody else in', async () => {
    expect(await refusal(await token('intg', 'intg'))).to.match(/70021/);
    expect(await refusal(await token('prod', 'intg'))).to.match(/700027/);
    expect(await refusal(await token('prod', 'prod', { sub: 'system:serviceaccount:moodtalk:default' }))).to.match(
      /70021/,
    );
    expect(await refusal(await token('prod', 'prod', { aud: 'https://kubernetes' }))).to.match(/700027/);
  });
});
