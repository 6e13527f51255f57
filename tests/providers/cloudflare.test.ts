import { expect } from 'chai';
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
});
