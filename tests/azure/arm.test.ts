import { ResourceManagementClient } from '@azure/arm-resources';
import { expect } from 'chai';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { armEndpoint, refusal, Service, subscription } from './service';

describe('azure: the gates of the ARM service', function () {
  this.timeout(20_000);
  const service = new Service();
  const version = '?api-version=2024-03-01';
  const group = `/resourceGroups/rg-gates`;
  let client: ResourceManagementClient;

  before(async () => {
    await service.start();
    client = new ResourceManagementClient(service.credential, subscription, service.options);
  });
  after(() => service.stop());

  it('refuses a wrong client secret in the words of the login service', async () => {
    const wrong = service.credentialWith('wrong');
    const failure = await wrong.getToken(`${armEndpoint}/.default`).then(String, String);
    expect(failure).to.contain('AADSTS7000215');
  });

  it('answers 401 to a request without a token, with a bad one, and with one for storage', async () => {
    const at = `/subscriptions/${subscription}/resourceGroups${version}`;
    const storage = (await service.credential.getToken('https://storage.azure.com/.default')).token;
    const codes = await Promise.all(
      [{}, { authorization: 'Bearer x.y.z' }, { authorization: `Bearer ${storage}` }].map(async (headers) => {
        const reply = await service.raw('GET', at, undefined, headers);
        expect(reply.headers.get('www-authenticate')).to.contain('authorization_uri=');
        return `${reply.status} ${reply.body.error?.code}`;
      }),
    );
    expect(codes).to.deep.equal([
      '401 AuthenticationFailed',
      '401 InvalidAuthenticationToken',
      '401 InvalidAuthenticationTokenAudience',
    ]);
  });

  it('asks for an api-version, a known one, of a known type', async () => {
    const code = async (at: string) => {
      const reply = await service.request('GET', at);
      return `${reply.status} ${reply.body.error?.code}`;
    };
    expect(await code('/resourceGroups')).to.equal('400 MissingApiVersionParameter');
    expect(await code('/resourceGroups?api-version=soon')).to.equal('400 InvalidApiVersionParameter');
    expect(await code('/resourceGroups?api-version=2019-10-01')).to.equal('400 NoRegisteredProviderFound');
    expect(await code(`${group}/providers/Microsoft.Nothing/things/x${version}`)).to.equal('404 InvalidResourceType');
    expect(await code(`${group}/providers/Microsoft.Network/natGateways/x?api-version=2024-05-01`)).to.equal(
      '404 ResourceGroupNotFound',
    );
  });

  it('makes, changes, lists and deletes a group: 404 before, 201, 200, location fixed, ids in any casing', async () => {
    expect(await refusal(client.resourceGroups.get('rg-gates'))).to.equal('404 ResourceGroupNotFound');
    const created = await service.request('PUT', `${group}${version}`, { location: 'West Europe' });
    expect(created.status).to.equal(201);
    const changed = await service.request('PUT', `${group}${version}`, {
      location: 'westeurope',
      tags: { plan: 'drp' },
    });
    expect(changed.status).to.equal(200);
    expect((await client.resourceGroups.get('RG-GATES')).tags).to.deep.equal({ plan: 'drp' });
    expect(await refusal(client.resourceGroups.createOrUpdate('rg-gates', { location: 'northeurope' }))).to.equal(
      '409 InvalidResourceGroupLocation',
    );
    expect(await refusal(client.resourceGroups.createOrUpdate('rg-mars', { location: 'mars' }))).to.equal(
      '400 LocationNotAvailableForResourceGroup',
    );
    const unknown = await service.request('PUT', `${group}${version}`, { location: 'westeurope', tagz: {} });
    expect(unknown.body.error?.message).to.contain("Could not find member 'tagz'");
    const names: (string | undefined)[] = [];
    for await (const each of client.resourceGroups.list()) names.push(each.name);
    expect(names).to.deep.equal(['rg-gates']);
    expect((await client.resourceGroups.checkExistence('rg-none')).body).to.equal(false);
    await client.resourceGroups.beginDeleteAndWait('rg-gates');
    expect(await refusal(client.resourceGroups.get('rg-gates'))).to.equal('404 ResourceGroupNotFound');
  });

  it('throttles, fails and loses answers on demand, and the client gets over it', async () => {
    const patient = new ResourceManagementClient(service.credential, subscription, {
      ...service.options,
      retryOptions: { retryDelayInMs: 10 },
    });
    service.chaos(
      { id: 'busy', match: '^PUT .*/rg-chaos', times: 1, status: 429, retryAfter: 0 },
      { id: 'lost', match: '^PUT .*/rg-lost', times: 1, lost: true },
    );
    const made = await patient.resourceGroups.createOrUpdate('rg-chaos', { location: 'westeurope' });
    expect(made.name).to.equal('rg-chaos');
    const lost = await service.request('PUT', `/resourceGroups/rg-lost${version}`, { location: 'westeurope' }).then(
      () => 'answered',
      () => 'cut',
    );
    expect(lost).to.equal('cut');
    expect((await client.resourceGroups.get('rg-lost')).name).to.equal('rg-lost'); // done all the same
  });

  it('hangs for a silent region, then answers 503; what is elsewhere goes on', async () => {
    await client.resourceGroups.createOrUpdate('rg-west', { location: 'westeurope' });
    await client.resourceGroups.createOrUpdate('rg-north', { location: 'northeurope' });
    service.silence({ prod: 'site', intg: 'none' });
    const began = Date.now();
    expect(await refusal(client.resourceGroups.get('rg-west'))).to.equal('503 ServiceUnavailable');
    expect(Date.now() - began).to.be.within(900, 3_000);
    expect((await client.resourceGroups.get('rg-north')).location).to.equal('northeurope');
    service.silence({ prod: 'cluster', intg: 'none' });
    expect((await client.resourceGroups.get('rg-west')).location).to.equal('westeurope');
    service.silence({ prod: 'none', intg: 'none' });
  });

  it('goes on after a kill: resources, tokens and the signing key are as before', async () => {
    const token = await service.token();
    await service.end('SIGKILL');
    await service.run();
    const reply = await service.raw(
      'GET',
      `/subscriptions/${subscription}/resourceGroups/rg-north${version}`,
      undefined,
      { authorization: `Bearer ${token}` },
    );
    expect(reply.status).to.equal(200);
    for (const file of ['signing-key.json', 'secrets']) {
      expect(fs.statSync(path.join(service.state, file)).mode & 0o077, file).to.equal(0);
    }
  });
});
