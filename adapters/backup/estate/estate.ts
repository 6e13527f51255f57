/** What `standby estate` does: every data set besides the databases, as the configuration has them. */
import type { ContainerClient } from '@azure/storage-blob';
import type { DataSet, Instant } from '../../../backup/model';
import type { EstateSet } from '../../../backup/estate/set';
import type { Call } from '../../../backup/ports';
import { estateNames } from '../../../config/dataSets';
import { StandbyError } from '../../../failover/errors';
import type { AdapterContext } from '../../context';
import { serverPlaces, serverTarget } from '../../places';
import { containerClient, storeClient } from '../../store/client';
import { readIdentities, type Identities } from '../seal';
import { backupOf, openKnownVaults, openVaults } from '../vaults/vaults';
import { identitySet } from './identity';
import { imagesSet } from './images';
import { journalSet } from './journal';
import { backupsOf, chooseBackup, keepSet, openBackup, type FoundBackup, type Kept } from './keep';
import { logsSet } from './logs';
import { monitoringSet } from './monitoring';
import { namesSet } from './names';
import { secretsSet } from './secrets';
import { sourceSet } from './source';
import { stateSet } from './state';

const dayMs = 86_400_000;

export const estateSets: readonly DataSet[] = estateNames;

export interface Outcome {
  readonly dataSet: DataSet;
  readonly kept?: Kept;
  /** Why there is nothing to take. */
  readonly skipped?: string;
  readonly fault?: StandbyError;
}

export class Estate {
  private readonly vaults;
  private readonly company: string;

  /** @throws StandbyError BackupNotConfigured, CredentialsMissing; LandscapeUnread where no vault can be found without it */
  constructor(private readonly context: AdapterContext) {
    this.vaults = openKnownVaults(context);
    this.company = context.configuration().company;
  }

  private get configuration() {
    return backupOf(this.context);
  }

  /** @throws StandbyError NoSuchSet */
  private async set(dataSet: DataSet, call: Call): Promise<EstateSet> {
    const { context } = this;
    const { estate } = this.configuration;
    switch (dataSet) {
      case 'names':
        return namesSet(context);
      case 'state':
        return stateSet(context);
      case 'journal':
        return journalSet({ environment: context.environment, container: () => storeClient(context) });
      case 'secrets':
        return secretsSet(context, estate.variables);
      case 'source':
        return sourceSet(context, estate.repositories);
      case 'images':
        return imagesSet(context);
      case 'monitoring':
        return monitoringSet(context);
      case 'identity':
        return identitySet(identityInUse(context));
      case 'logs':
        return logsSet(context, { now: Date.now(), since: await this.logsSince(call) });
      // A version of a document is had from its own store; databases are `standby backup`'s.
      case 'documents':
      default:
        throw new StandbyError('NoSuchSet', `"${dataSet}" is none of these: ${estateSets.join(', ')}`, {
          exit: 'usage',
        });
    }
  }

  /** Where the last sound copy ends; before the first one, as far back as copies are kept. */
  private async logsSince(call: Call): Promise<Instant> {
    const { found, silent } = await backupsOf('logs', this.vaults, this.company, call);
    if (silent.length > 0) {
      throw new StandbyError(
        'VaultSilent',
        `${silent.join(', ')}: no answer, so nobody knows where the last logs end`,
        {
          retryable: true,
        },
      );
    }
    const last = found.find(({ verdict }) => verdict && !verdict.defect)?.manifest.recoveryPoint;
    return last ?? Date.now() - this.configuration.estate.logsDays * dayMs;
  }

  /** Takes data sets, one after the other; one that can't be had keeps no other from being taken. */
  async run(asked: readonly DataSet[], done: (outcome: Outcome) => void, call: Call): Promise<readonly Outcome[]> {
    const { estate, retention, recipients } = this.configuration;
    const { environment } = this.context;
    // What is taken goes into all of them.
    const { all: vaults } = openVaults(this.context);
    const identities = await readIdentities(environment);
    const outcomes: Outcome[] = [];
    for (const dataSet of asked.length > 0 ? asked : estateSets) {
      const outcome = await this.take(dataSet, call, async (set) =>
        keepSet(
          set,
          {
            ...{ company: this.company, vaults, retention, recipients, identities, now: Date.now, environment },
            ...(dataSet === 'logs' ? { atLeastMs: estate.logsDays * dayMs } : {}),
            secondKey: () => secondKey(environment, identities, recipients),
          },
          call,
        ),
      );
      done(outcome);
      outcomes.push(outcome);
    }
    return outcomes;
  }

  private async take(dataSet: DataSet, call: Call, act: (set: EstateSet) => Promise<Kept>): Promise<Outcome> {
    try {
      const set = await this.set(dataSet, call);
      const skipped = await set.nothing?.(call);
      return skipped === undefined ? { dataSet, kept: await act(set) } : { dataSet, skipped };
    } catch (cause) {
      call.signal.throwIfAborted();
      if (!(cause instanceof StandbyError) || cause.exit === 'usage') throw cause;
      return { dataSet, fault: cause };
    }
  }

  list(
    dataSet: DataSet | undefined,
    call: Call,
  ): Promise<{ readonly found: readonly FoundBackup[]; readonly silent: readonly string[] }> {
    return backupsOf(dataSet, this.vaults, this.company, call);
  }

  /** @returns a backup out of a vault, every byte of it as it was sealed, and the data set that can put it back. */
  async open(dataSet: DataSet, id: string | undefined, call: Call) {
    const identities = await readIdentities(this.context.environment);
    const set = await this.set(dataSet, call);
    const { vault, manifest } = await chooseBackup(set, this.vaults, this.company, id, call);
    return { set, vault, manifest, files: await openBackup(vault, manifest, identities, call) };
  }
}

function identityInUse(context: AdapterContext) {
  const server = serverPlaces(context).find(({ identity }) => identity);
  if (!server) throw new StandbyError('NoServerInUse', 'no server of this plan has the identity provider');
  const target = serverTarget(context, server.name);
  return {
    environment: context.environment,
    target: { ...target, database: target.identityDatabase },
    realm: context.landscape.sites[server.site].identity.realm,
  };
}

/** @throws StandbyError DocumentsNotConfigured */
export function documentStore(context: AdapterContext): ContainerClient {
  const documents = context.configuration().backup?.estate.documents ?? context.landscape.documents;
  if (documents) return containerClient(documents, context.environment);
  throw new StandbyError(
    'DocumentsNotConfigured',
    'there is no store of documents: set standby:documents, and update the failover stack, or say where another one is (standby:backup.estate.documents)',
  );
}

/**
 * Reads the file that STANDBY_AGE_SECOND_IDENTITY_FILE names: the key that somebody else has.
 * @throws StandbyError SecondKeyRefused when it is not there, is the first one again, or is none of the recipients.
 */
export async function secondKey(
  environment: AdapterContext['environment'],
  first: Identities,
  recipients: readonly string[],
): Promise<Identities> {
  const refused = (why: string, cause?: unknown) =>
    new StandbyError(
      'SecondKeyRefused',
      `secrets count when a second key has opened them, and STANDBY_AGE_SECOND_IDENTITY_FILE ${why}`,
      { cause },
    );
  const file = environment['STANDBY_AGE_SECOND_IDENTITY_FILE'];
  if (!file) throw refused('is not set');
  const second = await readIdentities({ STANDBY_AGE_IDENTITY_FILE: file }).catch((cause: unknown) => {
    throw refused("can't be read: it must be a file with a secret key of age, mode 600", cause);
  });
  if (second.recipients.some((one) => first.recipients.includes(one))) throw refused('has the first key in it again');
  if (!second.recipients.some((one) => recipients.includes(one)))
    throw refused('has none of the keys that standby:backup.recipients names');
  return second;
}
