import { expect } from 'chai';
import * as path from 'node:path';
import { cloudflare } from '../../sandbox/providers/cloudflare';
import { repository } from '../../sandbox/world';
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
});

describe('providers: cloudflare, buckets', function () {
  this.timeout(60_000);
  const world = new World(245);
  let project: Project;
  before(async () => {
    await Promise.all([world.start('cloudflare'), world.start('providers')]);
    project = await Project.start(world.places.providers, world.env);
  });
  after(async () => {
    project?.stop();
    await world.stop();
  });
  const buckets = (days: number) => `
    const { OffsiteBucket } = require('${path.join(repository, 'components', 'backup', 'offsiteBucket')}');
    const accountId = process.env.CLOUDFLARE_ACCOUNT_ID;
    exports.endpoint = new OffsiteBucket('offsite', { accountId, bucketName: 'moodtalk-backups', retentionDays: ${days} }).endpoint;
  `;

  it('keep what is in them for their time: made, untouched, kept longer, and never given up', async () => {
    expect((await project.up(buckets(366))).changes).to.deep.equal({ create: 4 });
    expect((await project.outputs())['endpoint']).to.match(/^https:\/\/[0-9a-f]{32}\.eu\.r2\.cloudflarestorage\.com$/);
    expect((await project.up(buckets(366))).changes).to.deep.equal({ same: 4 });
    expect((await project.up(buckets(400))).changes).to.deep.equal({ same: 3, update: 1 });
    expect((await project.refresh()).changes).to.deep.equal({ same: 4 });
    expect(await project.refusal('')).to.match(/protected/);
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
