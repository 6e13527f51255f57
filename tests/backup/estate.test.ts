import { expect } from 'chai';
import * as fc from 'fast-check';
import { compareRefs, parseImage, parseRefs } from '../../backup/estate/references';
import { keptResource, resourceChanges } from '../../backup/estate/resources';
import { keptRecords, keptRuleset, recordChanges, rulesetChanges, type ZoneRecord } from '../../backup/estate/zone';

const moving = { hosts: ['api.acme.ch'], address: '203.0.20.2' };

/** What a zone is after a batch, as the vendor makes it: deletes, patches, posts. */
function after(now: readonly ZoneRecord[], batch: ReturnType<typeof recordChanges>['batch']): ZoneRecord[] {
  const gone = new Set(batch.deletes.map(({ id }) => id));
  const changed = new Map(batch.patches.map((patch) => [patch.id, patch]));
  return [
    ...now.filter(({ id }) => !gone.has(id!)).map((record) => ({ ...record, ...changed.get(record.id!) })),
    ...batch.posts.map(
      (post, index) => ({ id: `new-${index}`, tags: [], settings: {}, ...post }) as unknown as ZoneRecord,
    ),
  ];
}

const record = fc.record({
  name: fc.constantFrom('acme.ch', 'api.acme.ch', 'www.acme.ch', 'mail.acme.ch'),
  type: fc.constantFrom('A', 'TXT', 'MX'),
  content: fc.constantFrom('192.0.2.1', '192.0.2.2', '192.0.2.3'),
  ttl: fc.constantFrom(60, 300),
  proxied: fc.boolean(),
  comment: fc.constantFrom(undefined, 'note'),
  settings: fc.constant({}),
});
const zone = fc
  .uniqueArray(record, { maxLength: 12, selector: ({ name, type, content }) => `${name} ${type} ${content}` })
  .map((records) => records.map((one, index): ZoneRecord => ({ ...one, tags: [], id: `id-${index}` })));
const essence = (records: readonly ZoneRecord[]) =>
  records
    .map(({ name, type, content, ttl, proxied, comment }) =>
      [name, type, content, proxied ? 1 : ttl, proxied, comment || ''].join(' '),
    )
    .sort();

describe('backup/estate: records of a zone', () => {
  it('become as they were, name by name; names that are not in the backup and hosts that moved are left', () => {
    fc.assert(
      fc.property(zone, zone, (before, now) => {
        const kept = keptRecords(before);
        const then = after(now, recordChanges(kept, now, moving).batch);
        const own = (records: readonly ZoneRecord[], name: string) =>
          essence(records.filter((one) => one.name === name));
        const led = ({ name, type }: ZoneRecord) => name === 'api.acme.ch' && type === 'A';
        for (const { name } of kept.filter((one) => one.name !== 'api.acme.ch'))
          expect(own(then, name)).to.deep.equal(own(kept, name));
        for (const { name } of now.filter((one) => !kept.some((other) => other.name === one.name)))
          expect(own(then, name)).to.deep.equal(own(now, name));
        if (now.some(led)) expect(essence(then.filter(led))).to.deep.equal(essence(now.filter(led)));
        else for (const made of then.filter(led)) expect(made.content).to.equal(moving.address);
      }),
    );
  });

  it('are the same after a restore: a second one changes nothing', () => {
    fc.assert(
      fc.property(zone, zone, (before, now) => {
        const kept = keptRecords(before);
        const then = after(now, recordChanges(kept, now, moving).batch);
        const { batch } = recordChanges(kept, then, moving);
        expect(batch).to.deep.equal({ deletes: [], patches: [], posts: [] });
      }),
    );
  });
});

describe('backup/estate: rules of a zone', () => {
  const ruleset = (rules: object[]) => keptRuleset({ name: 'default', kind: 'zone', phase: 'p', rules });
  const rule = { id: 'r1', ref: 'r1', version: '3', last_updated: 'x', action: 'block', expression: 'true' };

  it('keep what somebody chose: not the vendor’s ids, and a ref that was given', () => {
    expect(ruleset([rule]).rules).to.deep.equal([{ action: 'block', expression: 'true' }]);
    expect(ruleset([{ ...rule, ref: 'login' }]).rules).to.deep.equal([
      { ref: 'login', action: 'block', expression: 'true' },
    ]);
  });

  it('differ by what they do and by their order', () => {
    const other = { ...rule, id: 'r2', ref: 'r2', expression: 'false' };
    const changes = (kept: object[], now: object[]) => rulesetChanges([ruleset(kept)], [ruleset(now)]).puts.length;
    expect(changes([rule], [{ ...rule, id: 'r9', ref: 'r9', enabled: true }])).to.equal(0);
    expect(changes([rule, other], [other, rule])).to.equal(1);
    expect(changes([rule], [{ ...rule, enabled: false }])).to.equal(1);
    expect(rulesetChanges([], [ruleset([rule])]).differences.map(({ how }) => how)).to.deep.equal(['extra']);
    expect(rulesetChanges([ruleset([])], []).puts, 'no rules are no ruleset').to.deep.equal([]);
  });
});

describe('backup/estate: resources of Azure', () => {
  const id = '/subscriptions/s/resourceGroups/rg/providers/Microsoft.Insights/actionGroups/ag';
  const answer = (properties: object, more: object = {}) => ({
    id,
    name: 'ag',
    type: 't',
    location: 'global',
    properties,
    ...more,
  });
  const kept = (properties: object) => keptResource(answer(properties), 'v1');

  it('are kept as a PUT takes them', () => {
    const properties = {
      ...{ enabled: true, provisioningState: 'Succeeded', tagless: null },
      emailReceivers: [{ name: 'n', emailAddress: 'a@b.ch', status: 'Enabled' }],
    };
    expect(keptResource(answer(properties, { etag: 'e', systemData: {} }), 'v1')).to.deep.equal({
      ...{ id, apiVersion: 'v1' },
      body: {
        location: 'global',
        properties: { enabled: true, emailReceivers: [{ name: 'n', emailAddress: 'a@b.ch' }] },
      },
    });
  });

  it('differ by names of what changed, never by values', () => {
    const { puts, differences } = resourceChanges(
      [kept({ secret: 'one', same: 1 })],
      [kept({ secret: 'two', same: 1 })],
    );
    expect(puts).to.have.length(1);
    expect(differences).to.deep.equal([
      { what: 'Microsoft.Insights/actionGroups/ag', how: 'different', detail: 'properties.secret' },
    ]);
    expect(resourceChanges([kept({})], []).differences[0]?.how).to.equal('missing');
    expect(resourceChanges([], [kept({})]).differences[0]?.how).to.equal('extra');
    expect(resourceChanges([kept({ a: 1 })], [kept({ a: 2 })], () => true)).to.deep.include({ puts: [] });
  });
});

describe('backup/estate: what points at something by its digest', () => {
  const [one, two] = ['1'.repeat(40), '2'.repeat(40)];

  it('refs: branches and tags, each the same commit', () => {
    const refs = parseRefs(
      `${one}\tHEAD\n${one}\trefs/heads/main\n${two}\trefs/tags/v1\n${one}\trefs/tags/v1^{}\n${two}\trefs/pull/1/head\n`,
    );
    expect([...refs.keys()]).to.deep.equal(['refs/heads/main', 'refs/tags/v1']);
    expect(compareRefs(refs, refs, 'x')).to.deep.equal([]);
    const other = new Map([
      ['refs/heads/main', two],
      ['refs/heads/new', one],
    ]);
    expect(compareRefs(refs, other, 'x').map(({ what, how }) => `${how} ${what}`)).to.deep.equal([
      'different refs/heads/main at x',
      'missing refs/tags/v1 at x',
      'extra refs/heads/new at x',
    ]);
  });

  it('images: a registry, a name, and a digest or nothing', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const parts = { registry: 'ghcr.io', name: 'acme/platform', tag: '1.4.1', digest };
    expect(parseImage(`ghcr.io/acme/platform:1.4.1@${digest}`)).to.deep.equal(parts);
    expect(parseImage('ghcr.io/acme/platform:1.4.1')).to.equal(undefined);
  });
});
