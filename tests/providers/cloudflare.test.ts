import { expect } from 'chai';
import { cloudflare } from '../../sandbox/providers/cloudflare';
import { Project } from './engine';
import { World } from './world';

const hosts = ['admin', 'api', 'id', 'idp', 'static', 'survey'];
const program = (content: string, zone = 'moodtalk.ch') => `
  const cloudflare = require('@pulumi/cloudflare');
  const zone = cloudflare.getZoneOutput({ filter: { name: '${zone}' } });
  exports.zone = zone.zoneId;
  exports.records = ${JSON.stringify(hosts)}.map((host) => {
    const record = new cloudflare.DnsRecord(host, { zoneId: zone.zoneId, name: host + '.${zone}', type: 'A', content: '${content}', proxied: true, ttl: 1 });
    return { id: record.id, content: record.content, createdOn: record.createdOn };
  });
`;

describe('providers: cloudflare', function () {
  this.timeout(60_000);
  const world = new World(61);
  let project: Project;
  before(async () => {
    await Promise.all([world.start('cloudflare'), world.start('providers')]);
    project = await Project.start(world.places.providers, world.env);
  });
  after(async () => {
    project?.stop();
    await world.stop();
  });

  it('keeps six records: created, untouched, moved in place, removed', async () => {
    const first = await project.up(program('203.0.113.10'));
    expect(first.changes).to.deep.equal({ create: 7 });
    expect((await project.up(program('203.0.113.10'))).changes).to.deep.equal({ same: 7 });

    const moved = await project.up(program('203.0.113.20'));
    expect(moved.changes).to.deep.equal({ same: 1, update: 6 });
    const ids = (result: typeof first) => (result.outputs['records'] as { id: string }[]).map(({ id }) => id);
    expect(ids(moved)).to.deep.equal(ids(first));
    expect((moved.outputs['records'] as { content: string }[]).map((record) => record.content)).to.deep.equal(
      hosts.map(() => '203.0.113.20'),
    );

    expect((await project.refresh()).changes).to.deep.equal({ same: 7 });
    expect((await project.destroy()).changes).to.deep.equal({ delete: 7 });
  });

  it('makes a record anew in another zone, and a zone of its own', async () => {
    const moved = (zone: string) => `
      const cloudflare = require('@pulumi/cloudflare');
      const zones = { own: cloudflare.getZoneOutput({ filter: { name: 'moodtalk.ch' } }).zoneId };
      zones.other = new cloudflare.Zone('other', { account: { id: process.env.CLOUDFLARE_ACCOUNT_ID }, name: 'example.org', type: 'full' }).id;
      exports.id = new cloudflare.DnsRecord('record', { zoneId: zones['${zone}'], name: 'a', type: 'A', content: '203.0.113.1', ttl: 60 }).id;
    `;
    const first = await project.up(moved('own'));
    expect(first.changes).to.deep.equal({ create: 3 });
    const second = await project.up(moved('other'));
    expect(second.changes).to.deep.equal({ same: 2, replace: 1 });
    expect(second.outputs['id']).to.not.equal(first.outputs['id']);
    expect((await project.destroy()).changes).to.deep.equal({ delete: 3 });
  });

  it('passes on in one line what the API refuses', async () => {
    const wrong = program('203.0.113.10').replaceAll('ttl: 1 ', 'ttl: 300 ');
    const message = await project.up(wrong).then(String, (cause: Error) => cause.message);
    expect(message).to.match(/error: cloudflare: 400 .*\(\d+\)/);
    await project.destroy();
  });
});

describe('providers: cloudflare, no token', () => {
  const token = process.env['CLOUDFLARE_API_TOKEN'];
  before(() => delete process.env['CLOUDFLARE_API_TOKEN']);
  after(() => {
    if (token !== undefined) process.env['CLOUDFLARE_API_TOKEN'] = token;
  });

  it('says what to set', () => {
    expect(() => cloudflare.configure({})).to.throw(
      'cloudflare: no API token; set CLOUDFLARE_API_TOKEN or cloudflare:apiToken',
    );
  });
});
