import { expect } from 'chai';
import type Cloudflare from 'cloudflare';
import { toFile } from 'cloudflare';
import * as fs from 'node:fs';
import * as https from 'node:https';
import * as path from 'node:path';
import { accountId, CloudflareWorld, firstToken, outcome } from './service';

const groups = {
  dnsRead: '82e64a83756745bbbb1c9c2701bf816b',
  dnsWrite: '4755a26eedb94da69e1066d98aa820be',
  zoneRead: 'c8fed203ed3043cba015a93ad1616f1f',
};
/** The zone's id is the same in every world: configurations name it. */
const zone_id = '99cc0b3d0533a4c2aa4e22fa3b300212';

describe('cloudflare API', function () {
  this.timeout(20_000);
  const world = new CloudflareWorld(205);
  let client: Cloudflare;
  before(async () => {
    await world.start();
    client = world.client();
  });
  after(() => world.remove());

  const create = (body: Record<string, unknown>) =>
    client.dns.records.create({ zone_id, ttl: 1, type: 'A', ...body } as never);
  const names = async (query: Record<string, unknown> = {}) => {
    const found: string[] = [];
    for await (const record of client.dns.records.list({ zone_id, ...query })) found.push(record.name);
    return found;
  };

  it('has the account and its zone', async () => {
    expect((await client.accounts.list()).result.map(({ id }) => id)).to.deep.equal([accountId]);
    const [zone] = (await client.zones.list({ name: 'moodtalk.ch' })).result;
    expect([zone?.id, zone?.status, zone?.account.id]).to.deep.equal([zone_id, 'active', accountId]);
  });

  it('creates, reads, overwrites, patches and deletes a record', async () => {
    const made = await create({ name: 'www', content: '127.0.10.140', proxied: true, comment: 'site' });
    expect([made.name, made.proxied, made.ttl]).to.deep.equal(['www.moodtalk.ch', true, 1]);
    const key = { zone_id, name: 'www.moodtalk.ch', type: 'A' as const };
    const patched = await client.dns.records.edit(made.id, { zone_id, content: '127.0.20.140' } as never);
    expect([patched.content, patched.proxied, patched.comment]).to.deep.equal(['127.0.20.140', true, 'site']);
    const put = await client.dns.records.update(made.id, { ...key, content: '127.0.10.141', ttl: 60 });
    expect([put.proxied, put.ttl, put.comment, put.created_on]).to.deep.equal([false, 60, null, made.created_on]);
    expect((await client.dns.records.get(made.id, { zone_id })).content).to.equal('127.0.10.141');
    expect(await client.dns.records.delete(made.id, { zone_id })).to.deep.equal({ id: made.id });
    expect(await outcome(client.dns.records.get(made.id, { zone_id }))).to.equal('404 81044');
    expect(await outcome(client.dns.records.delete(made.id, { zone_id }))).to.equal('404 81044');
  });

  it('has buckets, each in its jurisdiction alone, and locks on what is in them', async () => {
    const place = { account_id: accountId, jurisdiction: 'eu' } as const;
    const name = 'moodtalk-backups';
    const made = await client.r2.buckets.create({ ...place, name, storageClass: 'Standard' });
    expect(made).to.include({ name, jurisdiction: 'eu', storage_class: 'Standard' });
    expect(await outcome(client.r2.buckets.create({ ...place, name }))).to.equal('409 10004');
    expect(await outcome(client.r2.buckets.create({ ...place, name: 'No_Name' }))).to.equal('400 10005');
    expect(await outcome(client.r2.buckets.get(name, { account_id: accountId }))).to.equal('404 10006');
    const rule = { id: 'keep', enabled: true, prefix: '', condition: { type: 'Age', maxAgeSeconds: 86_400 } } as const;
    await client.r2.buckets.locks.update(name, { ...place, rules: [rule] });
    expect(await client.r2.buckets.locks.get(name, place)).to.deep.equal({ rules: [rule] });
    const never = { ...rule, condition: { type: 'Age', maxAgeSeconds: 0 } } as const;
    expect(await outcome(client.r2.buckets.locks.update(name, { ...place, rules: [never] }))).to.equal('400 10001');
    expect((await client.r2.buckets.list(place)).buckets).to.deep.equal([made]);
    await client.r2.buckets.delete(name, place);
    expect(await outcome(client.r2.buckets.get(name, place))).to.equal('404 10006');
  });

  const refusals: readonly [what: string, body: Record<string, unknown>, answer: string][] = [
    ['a name of another zone', { name: 'admin.example.com', content: '127.0.0.1' }, '400 9000'],
    ['a name that is none', { name: 'a..moodtalk.ch', content: '127.0.0.1' }, '400 9000'],
    ['no address', { name: 'x', content: 'host.example' }, '400 9005'],
    ['an IPv4 address as AAAA', { name: 'x', type: 'AAAA', content: '127.0.0.1' }, '400 9006'],
    ['an address as CNAME', { name: 'x', type: 'CNAME', content: '127.0.0.1' }, '400 9007'],
    ['a proxied TXT', { name: 'x', type: 'TXT', content: 'x', proxied: true }, '400 9004'],
    ['a TTL on a proxied record', { name: 'x', content: '127.0.0.1', proxied: true, ttl: 300 }, '400 9021'],
    ['a TTL under 60', { name: 'x', content: '127.0.0.1', ttl: 59 }, '400 9021'],
    ['a TTL over a day', { name: 'x', content: '127.0.0.1', ttl: 86_401 }, '400 9021'],
    ['an MX without priority', { name: 'x', type: 'MX', content: 'mx.example' }, '400 9101'],
    ['tags', { name: 'x', content: '127.0.0.1', tags: ['a:b'] }, '400 9300'],
    ['an unknown type', { name: 'x', type: 'HINFO', content: 'x' }, '400 9008'],
    ['an unknown field', { name: 'x', content: '127.0.0.1', value: '127.0.0.1' }, '400 9207'],
    ['an identical record', { name: 'held', content: '127.0.0.1' }, '400 81058'],
    ['a CNAME beside an A', { name: 'held', type: 'CNAME', content: 'a.example' }, '400 81053'],
    ['an A beside a CNAME', { name: 'alias', content: '127.0.0.1' }, '400 81054'],
  ];
  describe('refuses', () => {
    before(async () => {
      await create({ name: 'held', content: '127.0.0.1' });
      await create({ name: 'alias', type: 'CNAME', content: 'a.example' });
    });
    for (const [what, body, answer] of refusals)
      it(what, async () => {
        const before = await names();
        expect(await outcome(create(body))).to.equal(answer);
        expect(await names()).to.deep.equal(before);
      });

    it('unknown zones and paths', async () => {
      expect(await outcome(client.zones.get({ zone_id: 'f'.repeat(32) }))).to.equal('404 1001');
      expect(await outcome(client.zones.get({ zone_id: 'moodtalk' }))).to.equal('404 7003 7000');
      expect(await outcome(client.get('/zones/x/nothing'))).to.equal('404 7003 7000');
      expect(await outcome(client.delete('/zones'))).to.equal('405 7001');
    });
  });

  it('filters, orders and pages a list', async () => {
    const made = await client.dns.records.batch({
      zone_id,
      posts: [3, 1, 2].map((n) => ({
        name: `list${n}.moodtalk.ch`,
        type: 'A' as const,
        content: `127.0.9.${n}`,
        ttl: 60 as never,
      })),
    });
    expect(made.posts).to.have.length(3);
    const list = ['list1.moodtalk.ch', 'list2.moodtalk.ch', 'list3.moodtalk.ch'];
    expect(await names({ name: { startswith: 'LIST' }, order: 'name', per_page: 2 })).to.deep.equal(list);
    expect(await names({ name: { exact: list[1] } })).to.deep.equal([list[1]]);
    expect(await names({ content: { exact: '127.0.9.3' }, type: 'A' })).to.deep.equal([list[2]]);
    expect(await names({ content: { exact: '127.0.9.3' }, name: { exact: list[0] }, match: 'any' })).to.have.length(2);
    expect(await outcome(names({ per_page: 0 }))).to.equal('400 1004');
  });

  it("does a batch in the vendor's order, wholly or not at all", async () => {
    const old = await create({ name: 'batch', type: 'CNAME', content: 'a.example' });
    const a = { name: 'batch.moodtalk.ch', type: 'A' as const, content: '127.0.8.1', ttl: 60 as never };
    const bad = { ...a, name: 'elsewhere.example.com' };
    const refused = client.dns.records.batch({ zone_id, deletes: [{ id: old.id }], posts: [a, bad] });
    expect(await outcome(refused)).to.equal('400 9000');
    expect(await names({ name: { exact: a.name }, type: 'CNAME' })).to.have.length(1);
    // The A record can only be made once the CNAME is gone: deletes come first, although they are written last.
    const done = await client.dns.records.batch({ zone_id, posts: [a], deletes: [{ id: old.id }] });
    expect([done.deletes?.[0]?.id, done.posts?.[0]?.content]).to.deep.equal([old.id, '127.0.8.1']);
    const many = Array.from({ length: 201 }, (_, n) => ({ ...a, name: `many${n}.moodtalk.ch` }));
    expect(await outcome(client.dns.records.batch({ zone_id, posts: many }))).to.equal('400 9306');
    const { posts } = await client.dns.records.batch({ zone_id, posts: many.slice(1) });
    expect(posts).to.have.length(200);
    const deletes = posts?.map(({ id }) => ({ id })) ?? [];
    await client.dns.records.batch({ zone_id, deletes });
  });

  it('exports a zone file and imports it again, proxy state included', async () => {
    await create({ name: 'txt', type: 'TXT', content: 'v=spf1 "quoted" ; -all', ttl: 120 });
    await create({ name: 'mail', type: 'MX', content: 'mx.example', priority: 10 });
    await create({
      name: '_sip._tcp.moodtalk.ch',
      type: 'SRV',
      data: { priority: 1, weight: 2, port: 5060, target: 'sip.example' },
    });
    await create({ name: 'moodtalk.ch', type: 'CAA', data: { flags: 0, tag: 'issue', value: 'ca.example' } });
    await create({ name: 'edge', content: '127.0.10.140', proxied: true, comment: 'through the edge' });
    const shape = async () => {
      const list = (await client.dns.records.list({ zone_id, per_page: 500 })).result;
      return list
        .map(({ id, created_on, modified_on, ...rest }) => JSON.stringify({ ...rest, comment_modified_on: 0 }))
        .sort();
    };
    const before = await shape();
    const file = String(await client.dns.records.export({ zone_id }));
    expect(file).to.match(
      /^edge\.moodtalk\.ch\.\t1\tIN\tA\t127\.0\.10\.140 ; through the edge cf_tags=cf-proxied:true$/m,
    );
    const all = (await client.dns.records.list({ zone_id, per_page: 500 })).result;
    await client.dns.records.batch({ zone_id, deletes: all.map(({ id }) => ({ id })) });
    const imported = await client.dns.records.import({
      zone_id,
      file: (await toFile(Buffer.from(file), 'zone.txt')) as never,
    });
    expect(imported.recs_added).to.equal(before.length);
    expect(await shape()).to.deep.equal(before);

    const line = await toFile(Buffer.from('$TTL 1h\nnew IN A 127.0.10.140\n   A 127.0.10.141\n'), 'zone.txt');
    await client.dns.records.import({ zone_id, file: line as never, proxied: 'true' });
    expect(await names({ name: { exact: 'new.moodtalk.ch' }, proxied: true })).to.have.length(2);
    const broken = await toFile(Buffer.from('ok IN A 127.0.0.1\nbroken IN SOA (\n'), 'zone.txt');
    expect(await outcome(client.dns.records.import({ zone_id, file: broken as never }))).to.equal('400 9211');
  });

  it('keeps rulesets: lists them without rules, replaces all rules of a phase', async () => {
    const phase = 'http_request_firewall_custom' as const;
    const rule = { action: 'block' as const, expression: 'ip.src eq 192.0.2.1', description: 'one' };
    expect(await outcome(client.rulesets.phases.get(phase, { zone_id }))).to.equal('404 10003');
    const made = await client.rulesets.phases.update(phase, {
      zone_id,
      rules: [rule, { ...rule, description: 'two' }],
    });
    expect([made.version, made.rules.length]).to.deep.equal(['1', 2]);
    const [listed] = (await client.rulesets.list({ zone_id })).result;
    expect([listed?.id, 'rules' in (listed ?? {})]).to.deep.equal([made.id, false]);
    const next = await client.rulesets.update(made.id, {
      zone_id,
      rules: [{ ...rule, id: made.rules[0]?.id as string }],
    });
    expect([next.version, next.rules.map(({ id, version }) => [id, version])]).to.deep.equal([
      '2',
      [[made.rules[0]?.id, '1']],
    ]);
    const twin = client.rulesets.create({ zone_id, name: 'x', kind: 'zone', phase, rules: [] });
    expect(await outcome(twin)).to.equal('400 20217');
    await client.rulesets.delete(made.id, { zone_id });
    expect(await outcome(client.rulesets.get(made.id, { zone_id }))).to.equal('404 10003');
  });

  it('makes, activates, pauses and deletes a zone', async () => {
    const zone = await client.zones.create({ account: { id: accountId }, name: 'second.example' });
    expect(zone.status).to.equal('pending');
    await client.zones.activationCheck.trigger({ zone_id: zone.id });
    expect((await client.zones.edit({ zone_id: zone.id, paused: true })).paused).to.equal(true);
    expect((await client.zones.get({ zone_id: zone.id })).status).to.equal('active');
    expect(await outcome(client.zones.create({ account: { id: accountId }, name: 'moodtalk.ch' }))).to.equal(
      '400 1061',
    );
    await client.zones.delete({ zone_id: zone.id });
    expect((await client.zones.list()).result).to.have.length(1);
  });

  describe('tokens', () => {
    const policy = (ids: string[], resource = `com.cloudflare.api.account.zone.${zone_id}`) => ({
      effect: 'allow' as const,
      permission_groups: ids.map((id) => ({ id })),
      resources: { [resource]: '*' },
    });
    const make = async (ids: string[], more: Record<string, unknown> = {}, resource?: string) => {
      const made = await client.user.tokens.create({
        name: 'test',
        policies: [policy(ids, resource)],
        ...more,
      });
      return { id: made.id as string, value: made.value as string };
    };
    const get = (headers: Record<string, string>) =>
      new Promise<string>((resolve, reject) => {
        https
          .get(`${world.baseUrl}/zones`, { headers, agent: world.agent() }, (answer) => {
            let text = '';
            answer
              .on('data', (chunk: Buffer) => (text += chunk.toString()))
              .on('end', () => {
                const { errors } = JSON.parse(text) as { errors: { code: number }[] };
                resolve([answer.statusCode, ...errors.map(({ code }) => code)].join(' '));
              });
          })
          .on('error', reject);
      });

    it('do what their groups allow and no more', async () => {
      const reader = world.client((await make([groups.dnsRead])).value);
      expect((await reader.user.tokens.verify()).status).to.equal('active');
      expect((await reader.dns.records.list({ zone_id })).result).to.not.be.empty;
      const record = { zone_id, name: 'scope', type: 'A' as const, content: '127.0.0.1', ttl: 1 as const };
      expect(await outcome(reader.dns.records.create(record))).to.equal('403 10000');
      expect(await outcome(reader.zones.get({ zone_id }))).to.equal('403 9109');
      expect((await reader.zones.list()).result).to.deep.equal([]);
      expect(await outcome(reader.user.tokens.list())).to.equal('403 10000');
      const zones = world.client((await make([groups.zoneRead])).value);
      expect((await zones.zones.get({ zone_id })).name).to.equal('moodtalk.ch');
      expect(await outcome(zones.dns.records.list({ zone_id }))).to.equal('403 10000');
      const elsewhere = world.client(
        (await make([groups.dnsWrite], {}, `com.cloudflare.api.account.zone.${'e'.repeat(32)}`)).value,
      );
      expect(await outcome(elsewhere.dns.records.list({ zone_id }))).to.equal('403 10000');
    });

    it('are refused when missing, malformed, unknown, expired, used from elsewhere or deleted', async () => {
      expect(await get({})).to.equal('400 9106');
      expect(await get({ authorization: 'Bearer short' })).to.equal('400 6003');
      expect(await get({ authorization: `Basic ${firstToken}` })).to.equal('400 6003');
      expect(await get({ authorization: `Bearer ${'x'.repeat(40)}` })).to.equal('403 9109');
      expect(await outcome(world.client('x'.repeat(40)).user.tokens.verify())).to.equal('401 1000');
      const late = await make([groups.dnsRead], { expires_on: '2020-01-01T00:00:00Z' });
      expect(await outcome(world.client(late.value).dns.records.list({ zone_id }))).to.equal('403 9109');
      const away = await make([groups.dnsRead], { condition: { request_ip: { in: ['192.0.2.0/24'] } } });
      expect(await outcome(world.client(away.value).dns.records.list({ zone_id }))).to.equal('403 9109');
      const gone = await make([groups.dnsRead]);
      await client.user.tokens.delete(gone.id);
      expect(await outcome(world.client(gone.value).dns.records.list({ zone_id }))).to.equal('403 9109');
    });

    it('are kept nowhere in clear text', async () => {
      const { value } = await make([groups.dnsRead]);
      const file = fs.readFileSync(path.join(world.world.folders.cloudflare, 'state.json'), 'utf8');
      expect(file).to.not.include(value).and.to.not.include(firstToken);
    });
  });

  describe('in trouble', () => {
    const order = (...rules: readonly object[]) =>
      fs.writeFileSync(path.join(world.world.folders.cloudflare, 'chaos.json'), JSON.stringify({ rules }));
    afterEach(() => order());

    it('fails the next requests without effect, or takes effect without an answer', async () => {
      const record = { name: 'chaos', content: '127.0.0.1' };
      order({ id: 'fault', match: '^POST .*/dns_records', times: 1, status: 500 });
      expect(await outcome(create(record))).to.equal('500 10001');
      expect(await names({ name: { exact: 'chaos.moodtalk.ch' } })).to.have.length(0);
      order({ id: 'busy', match: '^POST .*/dns_records', times: 1, status: 429, retryAfter: 7 });
      expect(await outcome(create(record))).to.equal('429 971');
      order({ id: 'cut', match: '^POST .*/dns_records', times: 1, refuse: true });
      expect(await outcome(create(record))).to.equal('Connection error.');
      expect(await names({ name: { exact: 'chaos.moodtalk.ch' } })).to.have.length(0);
      order({ id: 'lost', match: '^POST .*/dns_records', times: 1, lost: true });
      expect(await outcome(create(record))).to.equal('Connection error.');
      expect(await outcome(create(record))).to.equal('400 81058');
      order({ id: 'slow', match: '.', latencyMs: 120 });
      const began = Date.now();
      await names();
      expect(Date.now() - began).to.be.at.least(120);
      order({ id: 'elsewhere', match: '.', from: '127.1.1.', status: 500 });
      expect(await names({ name: { exact: 'chaos.moodtalk.ch' } })).to.have.length(1);
    });

    it('goes on after a kill with every change that it acknowledged', async () => {
      await create({ name: 'survivor', content: '127.0.0.1' });
      const before = await names();
      await world.stop('SIGKILL');
      await world.start();
      client = world.client();
      expect(await names())
        .to.deep.equal(before)
        .and.include('survivor.moodtalk.ch');
    });

    it('answers 429 over the rate limit, until the time is over', async () => {
      await world.stop();
      await world.start({ STANDBY_CLOUDFLARE_RATE_REQUESTS: '5', STANDBY_CLOUDFLARE_RATE_SECONDS: '1' });
      client = world.client();
      for (let n = 0; n < 5; n += 1) await client.zones.get({ zone_id });
      const answer = await client.zones.get({ zone_id }).then(
        () => [],
        (cause: { status: number; headers: Record<string, string> }) => [cause.status, cause.headers['retry-after']],
      );
      expect(answer).to.deep.equal([429, '1']);
      expect(await outcome(client.zones.get({ zone_id }))).to.equal('429 10100');
      // The client waits as long as it is told to, and then succeeds.
      expect((await client.zones.get({ zone_id }, { maxRetries: 3 })).id).to.equal(zone_id);
    });
  });
});
