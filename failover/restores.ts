/** Branch 1b has two ways: Azure restores its own backup, or a new server takes kept backups that a restore check has proved. Pure. */
import type { Recovery } from '../config/failover';
import type { BranchOption, Instant, KeptReading, VaultReading, VerifiedBackup } from './model';
import { fresh, whyUnknown } from './readings';
import type { Situation } from './situation';

/** What an import takes, by data set. */
export type Imports = Readonly<Record<string, VerifiedBackup>>;

type Verdict = Pick<BranchOption, 'impossible' | 'lossSeconds' | 'lossWhy'>;
export type Restore = Verdict & {
  /** Time to make a server and to fill it, seconds. */
  readonly takesSeconds: number;
} & ({ readonly way: 'geoRestore' } | { readonly way: 'import'; readonly imports: Imports });

/** Target of a server that is made from Azure's backup, or made empty. A restore at the vendor takes as long as the data are large. */
export const serverSeconds = 60;
/** As a target: small servers load and index no faster. */
const importBytesPerSecond = 10_000_000;

const time = (at: Instant): string => new Date(at).toISOString();
const lossSince = (point: Instant, { now }: Situation): number => Math.max(0, now - point) / 1000;
const refused = (impossible: string): Verdict => ({ impossible, lossSeconds: 'unknown', lossWhy: 'not possible' });

interface Way {
  readonly verdict: Verdict;
  /** Absent when nobody knows it, or the way can't be taken. */
  readonly recoveryPoint?: Instant;
}

function azure(situation: Situation): Way {
  const { current, observation, now } = situation;
  const { name, recovery, geoRedundant } = current.plan;
  if (!geoRedundant) {
    return { verdict: refused(`${name} was made by ${recovery?.method}, which gives it no geo-redundant backup`) };
  }
  const backup = fresh(observation.backups[name], now);
  if (!backup) {
    const lossWhy = `Azure's last backup of ${name} ${whyUnknown(observation.backups[name], now)}`;
    return { verdict: { lossSeconds: 'unknown', lossWhy } };
  }
  const { recoveryPoint, verifiedAt } = backup;
  const proved =
    verifiedAt === undefined
      ? 'this machine knows of no drill that restored it'
      : `a drill restored it at ${time(verifiedAt)}`;
  const lossWhy = `what was written after ${time(recoveryPoint)} is lost; Azure's own backup: ${proved}`;
  return { verdict: { lossSeconds: lossSince(recoveryPoint, situation), lossWhy }, recoveryPoint };
}

interface ImportWay extends Way {
  readonly imports: Imports;
}

function kept(situation: Situation): ImportWay {
  const { observation, now } = situation;
  const no = (why: string): ImportWay => ({ verdict: refused(why), imports: {} });
  if (!observation.vault) return no('no backups of the plan are configured (standby:backup)');
  const vault = fresh(observation.vault, now);
  if (!vault) return no(`the vault of kept backups ${whyUnknown(observation.vault, now)}`);
  const sets = Object.entries(vault.dataSets);
  const unproved = sets.filter(([, { newest }]) => !newest).map(([name]) => name);
  if (unproved.length > 0 || sets.length === 0) {
    const skipped = skippedText(vault);
    const why = `no kept backup of ${unproved.join(', ') || 'any database'} ever passed a restore check`;
    return no(`${why}${skipped ? `; ${skipped}` : ''}`);
  }
  if (vault.sealed !== undefined) return no(`this machine can't open the kept backups: ${vault.sealed}`);
  const imports = Object.fromEntries(sets.map(([name, { newest }]) => [name, newest!]));
  const recoveryPoint = Math.min(...Object.values(imports).map((one) => one.recoveryPoint));
  const each = Object.entries(imports).map(
    ([name, one]) => `${name} after ${time(one.recoveryPoint)} (backup ${one.id}, verified ${time(one.verifiedAt)})`,
  );
  const lossWhy = `what was written after the kept backups is lost: ${each.join(', ')}`;
  return { verdict: { lossSeconds: lossSince(recoveryPoint, situation), lossWhy }, recoveryPoint, imports };
}

const word = (why: string): string => (why === 'NeverVerified' ? 'never verified' : why);

function skippedOf(name: string, { skipped }: KeptReading): string[] {
  const counts = Object.entries(skipped).filter(([, count]) => count > 0);
  if (counts.length === 0) return [];
  const all = counts.reduce((sum, [, count]) => sum + count, 0);
  const whys = counts.map(([why, count]) => `${count} ${word(why)}`).join(', ');
  return [`skipped ${all === 1 ? 'is 1 newer backup' : `are ${all} newer backups`} of ${name} (${whys})`];
}

/** @returns which newer backups do not count, and why; empty when the newest do. */
export const skippedText = ({ dataSets }: VaultReading): string =>
  Object.entries(dataSets)
    .flatMap(([name, one]) => skippedOf(name, one))
    .join('; ');

const joined = (...parts: readonly (string | undefined)[]): string => parts.filter(Boolean).join('; ');

/**
 * Azure's backup is the first choice as long as it loses no more: it is the whole server, roles and settings too. Where it is
 * unknown or refused, where it is older, or where a person says so, what was proved by a restore is imported. A person may insist on
 * either.
 */
export function restoreOf(situation: Situation): Restore {
  const { observation, now, wish } = situation;
  const [own, imported] = [azure(situation), kept(situation)];
  const vault = fresh(observation.vault, now);
  const skipped = vault && skippedText(vault);
  const asked = wish.database === 'imported';
  const newer = (imported.recoveryPoint ?? -Infinity) > (own.recoveryPoint ?? -Infinity);
  if (asked || (wish.database !== 'restored' && newer && imported.verdict.impossible === undefined)) {
    const { verdict, imports } = imported;
    const bytes = Object.values(imports).reduce((sum, one) => sum + one.bytes, 0);
    const takesSeconds = Math.ceil(serverSeconds + bytes / importBytesPerSecond);
    if (verdict.impossible !== undefined) return { way: 'import', ...verdict, imports, takesSeconds };
    const why = asked ? undefined : instead(own);
    return { way: 'import', ...verdict, lossWhy: joined(verdict.lossWhy, why, skipped), imports, takesSeconds };
  }
  const other =
    imported.recoveryPoint === undefined
      ? observation.vault && `nothing can be imported: ${imported.verdict.impossible}`
      : joined(`kept backups that passed a restore check reach to ${time(imported.recoveryPoint)}`, skipped);
  const { impossible, lossSeconds, lossWhy } = own.verdict;
  const place = { way: 'geoRestore', takesSeconds: serverSeconds } as const;
  if (impossible !== undefined) return { ...place, ...refused(joined(impossible, other)) };
  return { ...place, lossSeconds, lossWhy: joined(lossWhy, other) };
}

const instead = ({ verdict, recoveryPoint }: Way): string =>
  recoveryPoint === undefined
    ? `Azure's own backup can't be relied on: ${verdict.impossible ?? verdict.lossWhy}`
    : `Azure's own backup is older: it reaches to ${time(recoveryPoint)}`;

/** @returns what the new server is made from, as the switch records it. */
export const recoveryBy = (restore: Restore, place: Pick<Recovery, 'epoch' | 'site' | 'from'>): Recovery =>
  restore.way === 'geoRestore'
    ? { ...place, method: 'geoRestore' }
    : {
        ...{ ...place, method: 'import' },
        backups: Object.fromEntries(Object.entries(restore.imports).map(([name, { id }]) => [name, id])),
      };
