import { expect } from 'chai';
import { withRecordIds } from '../../adapters/pulumi/edit';

const type = 'cloudflare:index/dnsRecord:DnsRecord';
const record = (name: string, id: string, kind = 'A') => ({
  ...{ urn: `urn:pulumi:failover::standby::${type}::${name}`, type, id },
  outputs: { name: `${name}.example.org`, type: kind, content: '127.0.10.140' },
});
const state = (...resources: readonly object[]) => ({ version: 3, deployment: { manifest: {}, resources } }) as never;
const found = (name: string, id: string, kind = 'A') => ({ id, name: `${name}.example.org`, type: kind });

describe('adapters/pulumi: ids of records in the state', () => {
  it('are those that the zone has for records that were made anew', () => {
    const server = { urn: 'urn:server', type: 'azure-native:dbforpostgresql:Server', id: '/id/of/api' };
    const before = state(server, record('api', 'old'), record('admin', 'same'));
    const after = withRecordIds(before, [
      ...[found('api', 'mail', 'MX'), found('api', 'new'), found('admin', 'same')],
      found('www', 'other'),
    ]);
    expect(after).to.deep.equal(state(server, record('api', 'new'), record('admin', 'same')));
  });

  it('are left where all are there, and where a record is gone for good', () => {
    expect(withRecordIds(state(record('api', 'one')), [found('api', 'one')])).to.equal(undefined);
    expect(withRecordIds(state(record('api', 'one')), [found('admin', 'two')])).to.equal(undefined);
  });
});
