import { expect } from 'chai';
import { cloudflare } from '../../sandbox/providers/cloudflare';
import { Project } from './engine';
import { World } from './world';

const hosts = ['admin', 'api', 'id', 'idp', 'static', 'survey'];
interface Variant {
  readonly content?: string;
  readonly ttl?: number;
  /** Where the record `moved` stands. */
  readonly zone?: 'own' | 'other';
}

const program = ({ content = '203.0.113.10', ttl = 1, zone = 'own' }: Variant) => `
  const cloudflare = require('@pulumi/cloudflare');
  const own = cloudflare.getZoneOutput({ filter: { name: 'moodtalk.ch' } }).zoneId;
  const other = new cloudflare.Zone('other', { account: { id: process.env.CLOUDFLARE_ACCOUNT_ID }, name: 'example.org', type: 'full' }).id;
  exports.records = ${JSON.stringify(hosts)}.map((host) => {
    const record = new cloudflare.DnsRecord(host, { zoneId: own, name: host + '.moodtalk.ch', type: 'A', content: '${content}', proxied: true, ttl: ${ttl} });
    return { id: record.id, content: record.content };
  });
  exports.moved = new cloudflare.DnsRecord('moved', { zoneId: ${zone}, name: 'a', type: 'A', content: '203.0.113.1', ttl: 60 }).id;
`;

const buckets = (days: number) => `
  const cloudflare = require('@pulumi/cloudflare');
  const place = { accountId: process.env.CLOUDFLARE_ACCOUNT_ID, jurisdiction: 'eu' };
  const bucket = new cloudflare.R2Bucket('bucket', { ...place, name: 'moodtalk-backups', storageClass: 'Standard' });
  const condition = { type: 'Age', maxAgeSeconds: ${days} * 86400 };
  const rules = [{ id: 'keep', enabled: true, prefix: '', condition }];
  exports.rules = new cloudflare.R2BucketLock('lock', { ...place, bucketName: bucket.name, rules }).rules;
`;

describe('providers: cloudflare', function () {
  this.timeout(60_000);
  const world = new World(221);
  let project: Project;
  before(async () => {
    await Promise.all([world.start('cloudflare'), world.start('providers')]);
    project = await Project.start(world.places.providers, world.env);
  });
  after(async () => {
    project?.stop();
    await world.stop();
  });

  it('keeps records: made, untouched, changed in place, moved to another zone, refused, removed', async () => {
    expect((await project.up(program({}))).changes).to.deep.equal({ create: 9 });
    const first = (await project.outputs()) as { records: { id: string; content: string }[]; moved: string };
    expect((await project.up(program({}))).changes).to.deep.equal({ same: 9 });

    const change = { content: '203.0.113.20', zone: 'other' } as const;
    expect((await project.up(program(change))).changes).to.deep.equal({ same: 2, update: 6, replace: 1 });
    const second = (await project.outputs()) as typeof first;
    expect(second.records).to.deep.equal(first.records.map(({ id }) => ({ id, content: '203.0.113.20' })));
    expect(second.moved).to.not.equal(first.moved);
    expect((await project.refresh()).changes).to.deep.equal({ same: 9 });

    // A proxied record has no time to live of its own.
    expect(await project.refusal(program({ ...change, ttl: 300 }))).to.match(/error: cloudflare: 400 .*\(\d+\)/);
    expect((await project.destroy()).changes).to.deep.equal({ delete: 9 });
  });

  it('keeps buckets and their locks: made, untouched, kept longer, removed', async () => {
    const seconds = async () => {
      const { rules } = (await project.outputs()) as { rules: { condition: { maxAgeSeconds: number } }[] };
      return rules.map(({ condition }) => condition.maxAgeSeconds);
    };
    expect((await project.up(buckets(366))).changes).to.deep.equal({ create: 3 });
    expect(await seconds()).to.deep.equal([366 * 86_400]);
    expect((await project.up(buckets(366))).changes).to.deep.equal({ same: 3 });
    expect((await project.up(buckets(400))).changes).to.deep.equal({ same: 2, update: 1 });
    expect((await project.refresh()).changes).to.deep.equal({ same: 3 });
    expect(await seconds()).to.deep.equal([400 * 86_400]);
    expect((await project.destroy()).changes).to.deep.equal({ delete: 3 });
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
