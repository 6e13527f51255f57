import { expect } from 'chai';
import * as fc from 'fast-check';
import { cellOf, checkTenant, defused, exportFileName, newestVerified } from '../../backup/export';
import type { Defect, Manifest, Verdict } from '../../backup/model';
import { StandbyError } from '../../failover/errors';

const codeOf = (act: () => unknown): string => {
  try {
    act();
    return 'done';
  } catch (cause) {
    return cause instanceof StandbyError ? cause.code : String(cause);
  }
};
const backup = (id: string, recoveryPoint: number, dataSet = 'database/shop') =>
  ({ id, recoveryPoint, dataSet }) as unknown as Manifest;
const verdict = (id: string, verifiedAt: number, defect?: Defect) =>
  ({ id, verifiedAt, dataSet: 'database/shop', ...(defect ? { defect } : {}) }) as unknown as Verdict;

describe('backup: exports for customers', () => {
  it('takes the newest backup whose last check found nothing wrong, and no other', () => {
    const backups = [
      backup('old', 1),
      backup('good', 2),
      backup('rotten', 3),
      backup('unchecked', 4),
      backup('other', 9, 'database/x'),
    ];
    const verdicts = [
      verdict('old', 10),
      verdict('good', 10),
      verdict('rotten', 10),
      verdict('rotten', 20, 'BackupCorrupt'),
    ];
    expect(newestVerified(backups, verdicts, 'shop').id).to.equal('good');
    expect(newestVerified(backups, [...verdicts, verdict('good', 20, 'BackupTooOld')], 'shop').id).to.equal('good');
    expect(newestVerified(backups, [...verdicts, verdict('good', 20, 'BackupEmpty')], 'shop').id).to.equal('old');
    expect(codeOf(() => newestVerified(backups, [], 'shop'))).to.equal('NoVerifiedBackup');
    expect(codeOf(() => newestVerified(backups, verdicts, 'x'))).to.equal('NoVerifiedBackup');
  });

  it('gives no customer the rows of all', () => {
    expect(codeOf(() => checkTenant('a', 'SELECT * FROM a WHERE tenant = $1', '7'))).to.equal('done');
    expect(codeOf(() => checkTenant('a', 'SELECT * FROM a WHERE tenant = $1', undefined))).to.equal('TenantMissing');
    expect(codeOf(() => checkTenant('a', 'SELECT * FROM a WHERE x = $10', '7'))).to.equal('TenantNotAsked');
    expect(codeOf(() => checkTenant('a', 'SELECT * FROM a', undefined))).to.equal('done');
  });

  it('names the file for what, whose and when, and stays in its folder', () => {
    const at = Date.parse('2026-11-20T16:34:06.123Z');
    expect(exportFileName('bookings', 'csv', at, '4711')).to.equal('bookings-4711-20261120T163406Z.csv.age');
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (tenant) => {
        expect(exportFileName('a', 'json', at, tenant)).to.match(
          /^a-[A-Za-z0-9_-]{1,160}-20261120T163406Z\.json\.age$/,
        );
      }),
    );
  });

  it('leaves no text that a spreadsheet would run, and changes no other', () => {
    for (const text of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '＝1'])
      expect(defused(text)).to.equal(`'${text}`);
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(defused(text)).not.to.match(/^[=+\-@\t\r]/);
        expect(defused(text).replace(/^'/, '')).to.equal(text.replace(/^'/, ''));
      }),
    );
    expect([cellOf(-1), cellOf(null), cellOf(true), cellOf(new Date(0)), cellOf({ a: 1 })]).to.deep.equal([
      ...[-1, null, true],
      ...['1970-01-01T00:00:00.000Z', '{"a":1}'],
    ]);
    expect(cellOf('-5')).to.equal("'-5");
  });
});
