/** What `standby backup` does, on all that the configuration names. */
import * as os from 'node:os';
import type { Check, DataSet, Manifest, Verdict } from '../../backup/model';
import { isDataSet } from '../../backup/names';
import type { Call, ThrowAwayServer, Vault } from '../../backup/ports';
import { statusOf, type DataSetStatus, type Wanted } from '../../backup/status';
import { acceptedOf, newestSound, type Expected } from '../../backup/verdict';
import { brokenPromise } from '../../config/backup';
import { estateWanted } from '../../config/dataSets';
import { StandbyError } from '../../failover/errors';
import type { AdapterContext } from '../context';
import { whoAmI } from '../lock/lock';
import { connected, type ServerTarget } from '../postgres/connection';
import { createCatalog, type VaultCatalog } from './catalog';
import { backUpDatabase, databaseInUse } from './dump';
import { scheduleStatus } from './schedule';
import { readIdentities } from './seal';
import { inParallel } from './parallel';
import { prune, type Pruned } from './prune';
import { survey } from './survey';
import { createThrowAway } from './throwaway';
import { exportToMedium, type Receipt } from './vaults/offline';
import { backupOf, openVaults, type Vaults } from './vaults/vaults';
import { verifyBackup } from './verify';

const cores = os.availableParallelism();
const databaseOf = (dataSet: DataSet) => (dataSet.startsWith('database/') ? dataSet.slice(9) : undefined);

/** @throws StandbyError NotADatabase */
function nameOf(dataSet: DataSet): string {
  const name = databaseOf(dataSet);
  if (name !== undefined) return name;
  throw new StandbyError(
    'NotADatabase',
    `${dataSet} is no database: \`standby estate run\` proves it, by a comparison with what is there when it is taken`,
  );
}

/** One that went wrong does not keep the others from being taken. */
export interface Outcome<T> {
  readonly dataSet: DataSet;
  readonly done?: T;
  readonly fault?: StandbyError;
}

export class Backups {
  readonly catalog: VaultCatalog;
  private readonly company: string;

  /**
   * @param target - the way to a database of the server that has the business.
   * @throws StandbyError BackupNotConfigured, CredentialsMissing
   */
  constructor(
    private readonly context: AdapterContext,
    readonly vaults: Vaults = openVaults(context),
    private readonly target = (database: string): ServerTarget => databaseInUse(context, database),
    private readonly now = () => Date.now(),
  ) {
    this.company = context.configuration().company;
    this.catalog = createCatalog(this.vaults.site, this.company);
  }

  private get configuration() {
    return backupOf(this.context);
  }

  /** @throws StandbyError NoSuchDatabase */
  private databases(asked: readonly string[]): readonly string[] {
    const known = this.configuration.databases.map(({ name }) => name);
    const stranger = asked.find((name) => !known.includes(name));
    if (stranger === undefined) return asked.length > 0 ? asked : known;
    throw new StandbyError(
      'NoSuchDatabase',
      `database "${stranger}" is none that is backed up: there are ${known.join(', ')}`,
    );
  }

  /** Takes databases and puts them into every vault. @param asked - names; all where there are none. */
  async run(asked: readonly string[], call: Call): Promise<Outcome<Manifest>[]> {
    const { recipients, retention } = this.configuration;
    const { company, context } = this;
    const names = this.databases(asked);
    const atOnce = Math.min(2, names.length);
    return inParallel(names, atOnce, (name) =>
      outcomeOf(`database/${name}`, call, () =>
        backUpDatabase(
          {
            ...{ company, target: this.target(name) },
            keeping: {
              vaults: this.vaults.all,
              retention,
              recipients,
              now: this.now,
              environment: context.environment,
            },
            jobs: Math.max(1, Math.floor(cores / atOnce)),
          },
          call,
        ),
      ),
    );
  }

  /** @throws StandbyError NoSuchVault */
  private vault(name: string | undefined): Vault {
    const { all, site } = this.vaults;
    if (name === undefined) return site;
    const found = all.find(({ traits }) => traits.name === name);
    if (found) return found;
    const names = all.map(({ traits }) => traits.name).join(', ');
    throw new StandbyError('NoSuchVault', `vault "${name}" is none of this plan: there are ${names}`);
  }

  /**
   * Restores backups of databases and keeps what was found: the newest of each, or the one of an id.
   * @param shard - takes every `of`-th data set, from `index` on: several machines share the work.
   * @param acceptEmptied - tables (`schema.table`) that are meant to have lost their rows in the backup of that id.
   * @returns with the fault NotEmptied where they have not, NotADatabase for another data set: a comparison with what is there proves that, when it is taken.
   * @throws StandbyError NoSuchVault, NoBackup
   */
  async verify(
    wish: {
      readonly id?: string;
      readonly dataSets?: readonly DataSet[];
      readonly vault?: string;
      readonly full?: boolean;
      readonly acceptEmptied?: readonly string[];
      readonly shard?: { readonly index: number; readonly of: number };
    },
    call: Call,
  ): Promise<Outcome<Verdict>[]> {
    const { environment } = this.context;
    const vault = this.vault(wish.vault);
    const catalog = createCatalog(vault, this.company);
    const [identities, manifests, verdicts] = await Promise.all([
      readIdentities(environment),
      catalog.manifests(undefined, call),
      this.catalog.verdicts(undefined, call),
    ]);
    const chosen = this.chosen(manifests, wish);
    const atOnce = Math.min(cores, Math.max(1, chosen.length));
    let server: Promise<ThrowAwayServer> | undefined;
    let system: Promise<string | undefined> | undefined;
    try {
      return await inParallel(chosen, atOnce, ({ dataSet, manifest }) =>
        outcomeOf(dataSet, call, async () => {
          if (!manifest) {
            throw new StandbyError('NoBackup', `vault ${vault.traits.name} has no backup of ${dataSet}`, {
              exit: 'safe',
            });
          }
          const others = manifests.filter((other) => other.dataSet === dataSet);
          const own = verdicts.filter((verdict) => verdict.dataSet === dataSet);
          const expected = this.expected(manifest, others, own);
          const said = (wish.acceptEmptied ?? []).map((table) => ({ table, by: whoAmI(), at: this.now() }));
          const accepted = acceptedOf(manifest, expected, own, said);
          const live = await (system ??= this.system(expected.database, call));
          const verdict = await verifyBackup(
            {
              ...{ vault, manifest, others, verdicts: own, identities, environment, now: this.now },
              expected: { ...expected, accepted, ...(live === undefined ? {} : { system: live }) },
              server: () => (server ??= createThrowAway(environment, call)),
              full: wish.full ?? false,
              jobs: Math.max(1, Math.floor(cores / atOnce)),
            },
            call,
          );
          await this.keep(verdict, call);
          return verdict;
        }),
      );
    } finally {
      await (await server?.catch(() => undefined))?.remove();
    }
  }

  /** Beside every copy: a vault that keeps backups for longer is to know which of them are none. */
  private async keep(verdict: Verdict, call: Call): Promise<void> {
    await this.catalog.keepVerdict(verdict, call);
    const { all, site } = this.vaults;
    for (const vault of all.filter((one) => one !== site)) {
      await createCatalog(vault, this.company)
        .keepVerdict(verdict, call)
        .catch((cause: Error) => {
          call.signal.throwIfAborted();
          call.progress(`${verdict.dataSet}: vault ${vault.traits.name} does not keep the verdict: ${cause.message}`);
        });
    }
  }

  private chosen(
    manifests: readonly Manifest[],
    { id, dataSets, shard }: NonNullable<Parameters<Backups['verify']>[0]>,
  ): { dataSet: DataSet; manifest?: Manifest }[] {
    if (id !== undefined) {
      const found = manifests.filter((manifest) => manifest.id === id);
      if (found.length > 0) return found.map((manifest) => ({ dataSet: manifest.dataSet, manifest }));
      throw new StandbyError(
        'NoBackup',
        `no backup has the id "${id}": \`standby backup list\` shows those that are there`,
      );
    }
    const sets = dataSets ?? [
      ...new Set([
        ...this.configuration.databases.map(({ name }): DataSet => `database/${name}`),
        ...manifests.map(({ dataSet }) => dataSet).filter((dataSet) => databaseOf(dataSet) !== undefined),
      ]),
    ];
    return [...sets]
      .sort()
      .filter((_, index) => !shard || index % shard.of === shard.index)
      .map((dataSet) => {
        const manifest = newestOf(manifests.filter((one) => one.dataSet === dataSet));
        return { dataSet, ...(manifest ? { manifest } : {}) };
      });
  }

  private expected(manifest: Manifest, others: readonly Manifest[], verdicts: readonly Verdict[]): Expected {
    const database = nameOf(manifest.dataSet);
    const newest = newestOf(others)?.id === manifest.id;
    const sound = new Set(verdicts.filter(({ defect }) => !defect || defect === 'BackupTooOld').map(({ id }) => id));
    const earlier = others.filter(({ id, startedAt }) => sound.has(id) && startedAt < manifest.startedAt);
    const before = newestOf(earlier)?.facts?.rows;
    return {
      database,
      assertions: this.configuration.databases.find(({ name }) => name === database)?.assertions ?? [],
      ...(before ? { before } : {}),
      ...(newest ? { recoveryPointMinutes: this.minutesOf(manifest.dataSet) } : {}),
    };
  }

  /** Oldest that a backup of it may be. */
  private minutesOf(dataSet: DataSet): number {
    const { recoveryPointMinutes, estate } = this.configuration;
    // Twice, so that a backup that is just being taken is not missed.
    return databaseOf(dataSet) === undefined ? estate.everyHours * 60 * 2 : recoveryPointMinutes;
  }

  /** @returns undefined where the server that has the business does not answer: it may be what was lost. */
  private system(database: string, call: Call): Promise<string | undefined> {
    const question = 'SELECT system_identifier::text AS system FROM pg_control_system()';
    return connected(this.target(database), call.signal, async (client) => {
      return (await client.query<{ system: string }>(question)).rows[0]?.system;
    }).catch((cause: unknown) => {
      call.signal.throwIfAborted();
      call.progress(`the server that has the business can't be asked who it is: ${(cause as Error).message}`);
      return undefined;
    });
  }

  /** Every backup with a manifest, in which vaults it is, and what a restore of it said. The newest first. */
  async list(call: Call): Promise<Kept[]> {
    const found = await Promise.all(
      this.vaults.all.map(async (vault) => ({
        vault: vault.traits.name,
        manifests: await createCatalog(vault, this.company).manifests(undefined, call),
      })),
    );
    const verdicts = await this.catalog.verdicts(undefined, call);
    const kept = new Map<string, Kept>();
    for (const { vault, manifests } of found) {
      for (const manifest of manifests) {
        const key = `${manifest.dataSet}/${manifest.id}`;
        const verdict = verdicts.find(({ dataSet, id }) => dataSet === manifest.dataSet && id === manifest.id);
        const known = kept.get(key)?.vaults ?? [];
        kept.set(key, { manifest, vaults: [...known, vault], ...(verdict ? { verdict } : {}) });
      }
    }
    return [...kept.values()].sort((a, b) => b.manifest.startedAt - a.manifest.startedAt);
  }

  /** Removes what retention wants no more. What the storage still locks stays, and is counted. */
  prune(dryRun: boolean, call: Call): Promise<Pruned[]> {
    const { retention } = this.configuration;
    return prune(this.vaults.all, { company: this.company, retention, now: this.now(), dryRun }, call);
  }

  /** 3-2-1-1-0 of every data set that the configuration wants, never taken or not, and of each other one that is in a vault. */
  async status(call: Call): Promise<DataSetStatus[]> {
    const { databases, estate, vaults } = this.configuration;
    const { keepsDays } = this.vaults.site.traits;
    const keeper = { site: vaults.site, days: keepsDays, elsewhere: this.vaults.offsite !== undefined };
    const promise = brokenPromise(this.configuration, keeper);
    const found = await survey(this.vaults, this.company, call);
    const sets = new Set<DataSet>([
      ...databases.map(({ name }): DataSet => `database/${name}`),
      ...estateWanted(estate),
      ...found.vaults.flatMap(({ copies }) => copies.map(({ dataSet }) => dataSet)),
    ]);
    const want = [...sets].sort().map((dataSet): Wanted => ({ dataSet, minutes: this.minutesOf(dataSet) }));
    const offlineDays = vaults.offline?.everyDays ?? defaultOfflineDays;
    return want.map((one) => statusOf(one, { ...found, ...(promise ? { promise } : {}) }, offlineDays, this.now()));
  }

  /** A check for each CronJob that takes or restores backups; undefined where none is configured. */
  schedule(call: Call): Promise<Check[] | undefined> {
    return scheduleStatus(this.context, call, this.now());
  }

  /** Writes the newest backup of each data set that was restored soundly to a medium. @throws StandbyError NoBackup */
  async exportTo(folder: string, call: Call): Promise<Receipt> {
    const { offline } = this.configuration.vaults;
    if (!offline) {
      throw new StandbyError(
        'OfflineNotConfigured',
        'standby:backup.vaults.offline is not set: say what label its media have',
      );
    }
    const [manifests, verdicts] = await Promise.all([
      this.catalog.manifests(undefined, call),
      this.catalog.verdicts(undefined, call),
    ]);
    const sets = [...new Set(manifests.map(({ dataSet }) => dataSet))].sort();
    const newest = sets.flatMap((dataSet) => newestSound(manifests, verdicts, dataSet) ?? []);
    if (newest.length === 0) {
      throw new StandbyError('NoBackup', 'no backup was restored soundly yet: run `standby backup verify` first');
    }
    const { company } = this;
    const options = {
      from: this.vaults.site,
      folder,
      label: offline.label,
      company,
      manifests: newest,
      now: this.now(),
    };
    return exportToMedium(options, call);
  }
}

/** Where no medium is configured: then none is found either, and `status` says so. */
const defaultOfflineDays = 7;

export interface Kept {
  readonly manifest: Manifest;
  readonly vaults: readonly string[];
  readonly verdict?: Verdict;
}

const newestOf = (manifests: readonly Manifest[]): Manifest | undefined =>
  manifests.reduce<Manifest | undefined>(
    (last, one) => (!last || one.startedAt > last.startedAt ? one : last),
    undefined,
  );

async function outcomeOf<T>(dataSet: DataSet, { signal }: Call, act: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { dataSet, done: await act() };
  } catch (cause) {
    signal.throwIfAborted();
    if (!(cause instanceof StandbyError)) throw cause;
    return { dataSet, fault: cause };
  }
}

/** @throws StandbyError NoSuchDataSet */
export function parseDataSet(text: string): DataSet {
  if (isDataSet(text)) return text;
  throw new StandbyError(
    'NoSuchDataSet',
    `"${text}" is no data set: write database/NAME, names, state, journal or so`,
    {
      exit: 'refused',
    },
  );
}
