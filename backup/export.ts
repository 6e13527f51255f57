/** What customers get while the applications are down: which backup it comes from, what it is called, what may stand in a cell. Pure. */
import { StandbyError } from '../failover/errors';
import type { Instant, Manifest, Verdict } from './model';
import { newestSound } from './verdict';

export const exportFormats = ['csv', 'xlsx', 'json'] as const;
export type ExportFormat = (typeof exportFormats)[number];

/** @returns the newest backup whose last restore check found nothing wrong. @throws StandbyError NoVerifiedBackup */
export function newestVerified(
  manifests: readonly Manifest[],
  verdicts: readonly Verdict[],
  database: string,
): Manifest {
  // Age alone is no fault of what is in it: the recovery point stands on the export.
  const newest = newestSound(manifests, verdicts, `database/${database}`);
  if (newest) return newest;
  throw new StandbyError(
    'NoVerifiedBackup',
    `no backup of ${database} passed a restore check: nothing is exported from one that may be wrong; run \`standby backup verify\``,
  );
}

/** @throws StandbyError TenantMissing, TenantNotAsked */
export function checkTenant(name: string, sql: string, tenant: string | undefined): void {
  const asked = /\$1(?!\d)/.test(sql);
  if (asked === (tenant !== undefined)) return;
  throw asked
    ? new StandbyError('TenantMissing', `export ${name} is of one customer: say which, --tenant ID`, { exit: 'usage' })
    : new StandbyError('TenantNotAsked', `export ${name} has no $1 for a tenant: it would hold all customers' rows`, {
        exit: 'usage',
      });
}

/** Named for whoever finds it later: what, whose, as of when. */
export function exportFileName(name: string, format: ExportFormat, point: Instant, tenant?: string): string {
  const whose = tenant === undefined ? [] : [tenant.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 80)];
  const when = new Date(point).toISOString().replace(/[-:]|\.\d+/g, '');
  return `${[name, ...whose, when].join('-')}.${format}.age`;
}

export type Cell = string | number | boolean | null;

/** Spreadsheets run a text that begins like a formula. With a quotation mark before it they show it. */
export const defused = (text: string): string => (/^[=+\-@\t\r\n|%＝＋－＠]/u.test(text) ? `'${text}` : text);

/** A row's value as a spreadsheet shows it. Numbers that a double can't hold stay text. */
export function cellOf(value: unknown): Cell {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (value instanceof Date) return value.toISOString();
  return defused(typeof value === 'string' ? value : JSON.stringify(value));
}
