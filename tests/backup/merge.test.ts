import { expect } from 'chai';
import * as fc from 'fast-check';
import * as merge from '../../backup/merge';
import { StandbyError } from '../../failover/errors';

const table = (name: string, parents: readonly string[] = []): merge.TableShape => ({
  ...{ schema: 'public', name, key: ['id'], triggers: [] },
  columns: [{ name: 'id', type: 'integer', generated: false, identity: false }],
  foreignKeys: parents.map((parent) => ({
    ...{ name: `${name}_${parent}`, columns: ['id'], parentColumns: ['id'] },
    parent: { schema: 'public', name: parent },
  })),
});
const paired = (shape: merge.TableShape) => merge.pair({ ...shape, schema: 'recovered_x' }, shape);
const codeOf = (act: () => unknown): string => {
  try {
    act();
    return 'done';
  } catch (cause) {
    return cause instanceof StandbyError ? cause.code : String(cause);
  }
};

describe('backup: single tables', () => {
  it('takes names of tables and schemas as they are typed, and refuses others', () => {
    expect(merge.parseTables('bookings, sales.shifts')).to.deep.equal([
      { schema: 'public', name: 'bookings' },
      { schema: 'sales', name: 'shifts' },
    ]);
    for (const text of ['', 'a,,b', 'a.b.c', '.b', 'a.', 'a,a', 'a,sales.a']) {
      expect(
        codeOf(() => merge.parseTables(text)),
        text,
      ).to.equal('TablesWrong');
    }
    expect(merge.parseCopySchema('recovered_2026_11_20')).to.equal('recovered_2026_11_20');
    for (const text of ['public', 'recovered_', 'recovered_A', 'recovered_x; DROP', `recovered_${'x'.repeat(51)}`]) {
      expect(
        codeOf(() => merge.parseCopySchema(text)),
        text,
      ).to.equal('SchemaWrong');
    }
  });

  it('quotes every name, whatever is in it', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (name) => {
        const text = merge.quoted(name);
        expect(text.slice(1, -1).replaceAll('""', '')).not.to.contain('"');
        expect(text.slice(1, -1).replaceAll('""', '"')).to.equal(name);
      }),
    );
    const odd = { ...table('o"dd'), schema: 'a.b' };
    expect(merge.copyIn('recovered_x', odd)).to.equal('COPY "recovered_x"."o""dd" ("id") FROM STDIN');
    expect(merge.copyOut(odd)).to.contain('FROM "a.b"."o""dd"');
    const note = { format: 1, recoveryPoint: 0, from: "it's \\ here", tables: [] } as const;
    expect(merge.noteCopy('recovered_x', note)).to.contain(" IS  E'").and.to.contain("it''s \\\\\\\\ here");
  });

  it('writes parents before their children, and refuses a circle', () => {
    const forest = fc
      .array(fc.nat(), { minLength: 1, maxLength: 12 })
      .map((seeds) =>
        seeds.map((seed, index) => table(`t${index}`, index === 0 ? [] : [`t${seed % index}`, `t${index}`])),
      );
    fc.assert(
      fc.property(forest, fc.infiniteStream(fc.nat()), (tables, order) => {
        const shuffled = tables
          .map((shape) => ({ shape, at: order.next().value as number }))
          .sort((a, b) => a.at - b.at)
          .map(({ shape }) => paired(shape));
        const names = merge.inOrder(shuffled).map(({ live }) => live.name);
        expect(names).to.have.members(tables.map(({ name }) => name));
        for (const { name, foreignKeys } of tables) {
          for (const { parent } of foreignKeys) expect(names.indexOf(parent.name)).to.be.at.most(names.indexOf(name));
        }
      }),
    );
    expect(codeOf(() => merge.inOrder([paired(table('a', ['b'])), paired(table('b', ['a']))]))).to.equal(
      'TablesInCircle',
    );
  });

  it('compares by the key there is, and refuses one that is another now', () => {
    const before = { ...table('a'), schema: 'recovered_x' };
    expect(codeOf(() => merge.pair(before, { ...table('a'), key: ['id', 'day'] }))).to.equal('KeyChanged');
    expect(merge.overwriteChanged(merge.pair(before, table('a')))).to.equal(undefined);
  });

  it('says which parents are not among the tables', () => {
    expect(merge.caveats([table('bookings', ['customers', 'shifts']), table('shifts')])).to.have.length(1);
    expect(merge.caveats([{ ...table('a'), triggers: ['mail'] }])[0]).to.contain('trigger mail');
  });

  it('says what a merge would do, and what it would not', () => {
    const rows = { deleted: 3, changed: 2, added: 1 };
    expect(merge.verdictOf(table('a'), rows, false)).to.equal(
      'a: 3 deleted rows come back, 2 changed rows stay as they are now (--overwrite-changed puts back what they were), 1 added rows stay',
    );
    expect(merge.verdictOf(table('a'), rows, true)).to.contain('2 changed rows are overwritten with what they were');
  });
});
