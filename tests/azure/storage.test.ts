import { PrivateDnsManagementClient } from '@azure/arm-privatedns';
import { NetworkManagementClient } from '@azure/arm-network';
import { ResourceManagementClient } from '@azure/arm-resources';
import { StorageManagementClient } from '@azure/arm-storage';
import { expect } from 'chai';
import * as dgram from 'node:dgram';
import * as packet from 'dns-packet';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { address, refusal, Service, subscription } from './service';

const name = 'stmoodtalkbackup';
const group = 'rg-global';

describe('azure: backup storage and names by the vendor’s clients', function () {
  this.timeout(20_000);
  const service = new Service();
  let storage: StorageManagementClient;
  const projected = () =>
    (
      JSON.parse(fs.readFileSync(path.join(service.state, 'storage.json'), 'utf8')) as {
        accounts: Record<string, Record<string, unknown>>;
      }
    ).accounts[name];

  before(async () => {
    await service.start();
    await new ResourceManagementClient(service.credential, subscription, service.options).resourceGroups.createOrUpdate(
      group,
      { location: 'northeurope' },
    );
    storage = new StorageManagementClient(service.credential, subscription, service.options);
  });
  after(() => service.stop());

  it('makes accounts and containers, and tells the blob layer', async () => {
    const account = { location: 'northeurope', kind: 'StorageV2', sku: { name: 'Standard_GRS' } } as const;
    const at = `/resourceGroups/${group}/providers/Microsoft.Storage/storageAccounts/Bad-Name?api-version=2024-01-01`;
    expect((await service.request('PUT', at, account)).body.error?.code).to.equal('InvalidResourceName');
    expect(
      await refusal(storage.storageAccounts.beginCreateAndWait(group, name, { ...account, location: 'polandcentral' })),
    ).to.equal('400 SkuNotAvailable');
    const made = await storage.storageAccounts.beginCreateAndWait(group, name, {
      ...account,
      allowSharedKeyAccess: false,
      minimumTlsVersion: 'TLS1_2',
    });
    expect([made.secondaryLocation, made.allowBlobPublicAccess]).to.deep.equal(['westeurope', false]);
    await storage.blobServices.setServiceProperties(group, name, {
      isVersioningEnabled: true,
      deleteRetentionPolicy: { enabled: true, days: 35 },
    });
    await storage.blobContainers.create(group, name, 'backups', {});
    expect(await refusal(storage.blobContainers.create(group, name, 'open', { publicAccess: 'Blob' }))).to.equal(
      '409 PublicAccessNotPermitted',
    );
    const { keys } = await storage.storageAccounts.listKeys(group, name);
    expect(projected()).to.deep.include({
      versioning: true,
      deleteRetentionDays: 35,
      allowSharedKeyAccess: false,
      minimumTlsVersion: 'TLS1_2',
    });
    expect((projected()?.['keys'] as { value: string }[])[0]?.value).to.equal(keys?.[0]?.value);
    expect(fs.statSync(path.join(service.state, 'storage.json')).mode & 0o077).to.equal(0);
  });

  it('locks a container: from then on its interval can only grow, and nothing above it can be deleted', async () => {
    const { blobContainers: containers } = storage;
    const days = (immutabilityPeriodSinceCreationInDays: number) => ({
      parameters: { immutabilityPeriodSinceCreationInDays },
    });
    const policy = await containers.createOrUpdateImmutabilityPolicy(group, name, 'backups', days(30));
    const again = await containers.createOrUpdateImmutabilityPolicy(group, name, 'backups', days(7));
    expect(again.immutabilityPeriodSinceCreationInDays).to.equal(7); // unlocked: it may shrink
    expect(await refusal(containers.lockImmutabilityPolicy(group, name, 'backups', policy.etag as string))).to.equal(
      '412 PreconditionFailed',
    );
    const locked = await containers.lockImmutabilityPolicy(group, name, 'backups', again.etag as string);
    expect(locked.state).to.equal('Locked');
    const etag = locked.etag as string;
    expect(await refusal(containers.createOrUpdateImmutabilityPolicy(group, name, 'backups', days(35)))).to.equal(
      '409 ContainerImmutabilityPolicyLocked',
    );
    expect(await refusal(containers.extendImmutabilityPolicy(group, name, 'backups', etag, days(6)))).to.equal(
      '409 ImmutabilityPeriodCannotBeDecreased',
    );
    const extended = await containers.extendImmutabilityPolicy(group, name, 'backups', etag, days(35));
    expect(
      await refusal(containers.deleteImmutabilityPolicy(group, name, 'backups', extended.etag as string)),
    ).to.equal('412 ContainerImmutabilityPolicyLocked');
    expect(await refusal(storage.blobContainers.delete(group, name, 'backups'))).to.match(/^(409|412) /);
    expect(await refusal(storage.storageAccounts.delete(group, name))).to.match(/^(409|412) /);
    expect(projected()?.['containers'])
      .to.have.nested.property('backups.immutability')
      .that.deep.equals({ days: 35, locked: true, allowProtectedAppendWrites: false });
    expect((await containers.get(group, name, 'backups')).hasImmutabilityPolicy).to.equal(true);
  });

  it('answers private zones to the networks linked to them, public names to all', async () => {
    const zones = new PrivateDnsManagementClient(service.credential, subscription, service.options);
    const network = new NetworkManagementClient(service.credential, subscription, service.options);
    const vnet = await network.virtualNetworks.beginCreateOrUpdateAndWait(group, 'vnet', {
      location: 'northeurope',
      addressSpace: { addressPrefixes: ['10.2.0.0/16'] },
    });
    expect(
      await refusal(
        zones.privateZones.beginCreateOrUpdateAndWait(group, 'internal.moodtalk.ch', { location: 'westeurope' }),
      ),
    ).to.equal('400 LocationNotAvailableForResourceType');
    await zones.privateZones.beginCreateOrUpdateAndWait(group, 'internal.moodtalk.ch', { location: 'global' });
    await zones.virtualNetworkLinks.beginCreateOrUpdateAndWait(group, 'internal.moodtalk.ch', 'intg', {
      location: 'global',
      virtualNetwork: { id: vnet.id as string },
      registrationEnabled: false,
    });
    const put = (type: 'A' | 'CNAME', label: string, data: object) =>
      zones.recordSets.createOrUpdate(group, 'internal.moodtalk.ch', type, label, { ttl: 10, ...data });
    expect(await refusal(put('A', 'proxy', { aRecords: [{ ipv4Address: '10.0.0.300' }] }))).to.equal('400 BadRequest');
    await put('A', 'proxy', { aRecords: [{ ipv4Address: '10.0.0.3' }] });
    await put('CNAME', 'backup', { cnameRecord: { cname: `${name}.blob.core.windows.net` } });
    expect(await refusal(put('CNAME', 'proxy', { cnameRecord: { cname: 'x.ch' } }))).to.equal('400 BadRequest');
    expect(await refusal(zones.privateZones.beginDeleteAndWait(group, 'internal.moodtalk.ch'))).to.equal(
      '409 CannotDeleteResource',
    );

    const [azureDns, prod, intg] = [address(30, 16), address(30, 110), address(30, 120)];
    const data = (reply: packet.DecodedPacket) =>
      reply.answers?.map((each) => ('data' in each ? each.data : undefined));
    const rcode = (reply: packet.DecodedPacket) => (reply as { rcode?: string }).rcode;
    expect(data(await askUdp(intg, 'proxy.internal.moodtalk.ch'))).to.deep.equal(['10.0.0.3']);
    expect(data(await askTcp(intg, 'proxy.internal.moodtalk.ch'))).to.deep.equal(['10.0.0.3']);
    expect(data(await askUdp(intg, 'backup.internal.moodtalk.ch'))).to.deep.equal([
      `${name}.blob.core.windows.net`,
      address(30, 40),
    ]);
    expect(rcode(await askUdp(intg, 'none.internal.moodtalk.ch'))).to.equal('NXDOMAIN');
    const noData = await askUdp(intg, 'proxy.internal.moodtalk.ch', 'TXT');
    expect([rcode(noData), noData.answers?.length, noData.authorities?.[0]?.type]).to.deep.equal(['NOERROR', 0, 'SOA']);
    expect(rcode(await askUdp(prod, 'proxy.internal.moodtalk.ch'))).to.equal('SERVFAIL'); // not linked: asked of a public resolver, which is not up here
    expect(data(await askUdp(azureDns, `${name}.blob.core.windows.net`))).to.deep.equal([address(30, 40)]);
    expect(rcode(await askUdp(azureDns, 'none.blob.core.windows.net'))).to.equal('NXDOMAIN');
    const records = Array.from({ length: 60 }, (_, index) => ({ ipv4Address: `10.0.1.${index + 1}` }));
    await put('A', 'many', { aRecords: records });
    const cut = await askUdp(intg, 'many.internal.moodtalk.ch');
    expect([cut.flag_tc, cut.answers?.length]).to.deep.equal([true, 0]);
    expect((await askTcp(intg, 'many.internal.moodtalk.ch')).answers).to.have.length(60);
  });
});

const query = (label: string, type: packet.RecordType): packet.Packet => ({
  type: 'query',
  id: 7,
  flags: packet.RECURSION_DESIRED,
  questions: [{ type, name: label }],
});

function askUdp(server: string, label: string, type: packet.RecordType = 'A'): Promise<packet.DecodedPacket> {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket('udp4');
    socket.once('error', reject);
    socket.once('message', (message) => socket.close(() => resolve(packet.decode(message))));
    socket.send(packet.encode(query(label, type)), 5353, server);
  });
}

function askTcp(server: string, label: string, type: packet.RecordType = 'A'): Promise<packet.DecodedPacket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(5353, server, () => socket.write(packet.streamEncode(query(label, type))));
    let received = Buffer.alloc(0);
    socket.once('error', reject);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      socket.destroy();
      resolve(packet.decode(received.subarray(2)));
    });
  });
}
