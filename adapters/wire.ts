/** All ports, from the variables of the process: endpoints, credentials, the project's folder. */
import * as fs from 'node:fs';
import type { ContainerClient } from '@azure/storage-blob';
import type { FailoverConfig } from '../config/failover';
import { nextWork, productionServers } from '../config/servers';
import { validateSwitch } from '../config/switch';
import type { SwitchRules } from '../failover/planner';
import { StandbyError } from '../failover/errors';
import type { RunEvent } from '../failover/model';
import type { Clock, Ports } from '../failover/ports';
import { createAnnouncer } from './announce/announce';
import type { AdapterContext } from './context';
import { createJournal, type TwofoldJournal } from './journal/journal';
import { createWorkloads } from './kubernetes/workloads';
import { createLock, lockHolder, type Holder } from './lock/lock';
import { createNames } from './names/names';
import { createObserver } from './observe/observer';
import { createDatabases } from './postgres/databases';
import { createVerifier } from './probe/verifier';
import { configurationFile, loadConfiguration } from './pulumi/configuration';
import type { Environment } from './pulumi/command';
import { readLandscape } from './pulumi/landscape';
import { readStacks } from './pulumi/readings';
import { createStacks } from './pulumi/stacks';
import { storeClient } from './store/client';
import { createLeases } from './store/leases';

export const switchRules: SwitchRules = { validateSwitch, productionServers, nextWork };

const clock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', stop);
        resolve();
      }, ms);
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    }),
};

export interface World {
  readonly context: AdapterContext;
  readonly ports: Ports;
  /** @returns who carries a run out now. @throws where the store does not answer */
  readonly holder: () => Promise<Holder | undefined>;
  /** Sends what the store has not taken yet. */
  readonly close: () => Promise<void>;
}

export interface WorldOptions {
  readonly emit: (event: RunEvent) => void;
  readonly warn: (message: string) => void;
  readonly signal: AbortSignal;
}

/** Parses the file again when it has changed. */
function configurationOf(environment: Environment): () => FailoverConfig {
  let last: { readonly version: string; readonly value: FailoverConfig } | undefined;
  return () => {
    const stat = fs.statSync(configurationFile(environment), { bigint: true, throwIfNoEntry: false });
    const version = `${stat?.ino} ${stat?.mtimeNs} ${stat?.size}`;
    if (last?.version !== version) last = { version, value: loadConfiguration(environment) };
    return last.value;
  };
}

export async function openContext(environment: Environment, signal: AbortSignal): Promise<AdapterContext> {
  const configuration = configurationOf(environment);
  // A file that is refused is said before anything is asked.
  configuration();
  return { environment, configuration, landscape: await readLandscape(environment, signal) };
}

/** The same where the stacks' state may be what was lost: who asks for the landscape is told why nobody knows it. */
export async function openRemains(environment: Environment, signal: AbortSignal): Promise<AdapterContext> {
  return openContext(environment, signal).catch((cause: unknown) => {
    if (!(cause instanceof StandbyError) || cause.code !== 'LandscapeUnread' || signal.aborted) throw cause;
    return {
      ...{ environment, configuration: configurationOf(environment) },
      get landscape(): never {
        throw cause;
      },
    };
  });
}

/** @throws StandbyError when the configuration or the landscape can't be read. */
export async function openWorld(environment: Environment, { emit, warn, signal }: WorldOptions): Promise<World> {
  const context = await openContext(environment, signal);
  let opened: ContainerClient | undefined;
  const container = () => (opened ??= storeClient(context, { tryMs: 3_000, tries: 1 }));
  const journal = createJournal({ environment, container, warn });
  const gone = new Set<string>();
  const leases = createLeases(context);
  const ports: Ports = {
    observer: createObserver(context, { stacks: () => readStacks(environment), leases }),
    stacks: createStacks(context, { isGone: (host) => gone.has(host) }),
    workloads: createWorkloads(context),
    databases: createDatabases(context),
    names: createNames(context),
    verifier: createVerifier(context),
    leases,
    journal,
    lock: createLock({ container, tookOver: ({ host }) => gone.add(host) }),
    announcer: createAnnouncer(context, journal),
    clock,
    emit,
  };
  return { context, ports, holder: () => lockHolder(container()), close: () => journal.close() };
}

/** Journals alone; where the stack's output can't be read, those of this machine. */
export async function openJournal(
  environment: Environment,
  options: Omit<WorldOptions, 'emit'>,
): Promise<TwofoldJournal> {
  const { signal, warn } = options;
  try {
    const context = await openContext(environment, signal);
    const container = storeClient(context, { tryMs: 3_000, tries: 1 });
    return createJournal({ environment, container: () => container, warn });
  } catch (cause) {
    if (!(cause instanceof StandbyError) || signal.aborted) throw cause;
    warn(cause.message);
    const container = () => {
      throw new Error('unknown');
    };
    return createJournal({ environment, container, warn: () => undefined });
  }
}
