/**
 * What the engine needs of the world; adapters make it real, tests make it up. Every call takes a signal that aborts it, keeps to
 * the time it is given, and throws StandbyError: `retryable` where the same call may succeed a moment later.
 */
import type { Switch } from '../config/failover';
import type { Site } from '../config/fields';
import type { StandbyError } from './errors';
import type {
  AgentReading,
  Facts,
  Instant,
  LeaseReading,
  Observation,
  Plan,
  Reading,
  RunEvent,
  ServerReading,
  StepId,
} from './model';

export interface Call {
  readonly signal: AbortSignal;
  /** Told to the person while it goes on. */
  readonly progress: (message: string) => void;
}

export interface Observer {
  /**
   * Looks at everything at once, within 5 s whatever is silent.
   * @param again - a second look, which waits 12 s for what is late. @default - false
   */
  observe(signal: AbortSignal, again?: boolean): Promise<Observation>;
}

/** The three stacks, through the engine of Pulumi. */
export interface Stacks {
  /** Sets the switch in the failover stack's configuration file. Nothing is moved yet. */
  configure(values: Switch, call: Call): Promise<void>;
  /** `pulumi up -s failover` with the policy pack, without preview and refresh. @returns resources changed. */
  update(call: Call): Promise<{ readonly changed: number }>;
  /** @returns for each stack what a preview would change, empty when nothing. */
  previews(call: Call): Promise<Readonly<Record<'prod' | 'intg' | 'failover', readonly string[]>>>;
  /** Gives up an update that was cut off, so that the next one can begin (`pulumi cancel`, pending operations taken over). */
  unlock(call: Call): Promise<void>;
}

export interface Workloads {
  /** Scales every application of the platform on a site to zero and waits until no instance is left. */
  stop(site: Site, call: Call): Promise<{ readonly stopped: number }>;
  /** @returns instances that still exist. */
  running(site: Site, call: Call): Promise<number>;
  /** Takes `stop` back: scales every application to that many instances, and waits for none. Idempotent. */
  start?(site: Site, instances: number, call: Call): Promise<void>;
}

/** A backup in the vault that it was verified in. */
export interface ChosenBackup {
  readonly id: string;
  readonly vault: string;
}

export interface Databases {
  read(server: string, call: Call): Promise<ServerReading>;
  /**
   * Takes the right to write from an epoch, and cuts its sessions. With `whole` the server takes no connection of the
   * identity provider either. Idempotent. @returns sessions cut.
   */
  fence(server: string, epoch: number, whole: boolean, call: Call): Promise<{ readonly cut: number }>;
  /** Tries to write as the applications of that epoch do. @returns whether the write was accepted. */
  tryWrite(server: string, epoch: number, call: Call): Promise<{ readonly accepted: boolean; readonly answer: string }>;
  /**
   * Gives the right to write to an epoch, and to no other; opens the server to the identity provider. Idempotent.
   * @throws StandbyError StaleEpoch when the server has admitted a later one.
   */
  admit(server: string, epoch: number, call: Call): Promise<void>;
  /** Leaves its source and takes writes. Idempotent. `planned` waits until everything has arrived. */
  promote(server: string, how: 'planned' | 'forced', call: Call): Promise<void>;
  /** Waits until a replica has replayed up to a position. @returns seconds waited. */
  caughtUp(server: string, position: string, call: Call): Promise<{ readonly seconds: number }>;
  /**
   * Fills a new server, to which nobody may write yet, from kept backups, by data set; what came is compared with what each backup
   * says of itself. What is there whole already stays; what was cut off begins anew.
   * @throws StandbyError with the code of a defect when it is not what was taken; ServerInUse when an epoch was admitted to it.
   */
  importBackups(server: string, backups: Readonly<Record<string, ChosenBackup>>, call: Call): Promise<Facts>;
  /**
   * Writes rows of `server` that are newer than what `since` has into a file, before anything overwrites them.
   * @returns the file and the number of rows, by table.
   */
  exportDiverged(
    server: string,
    since: string,
    file: string,
    call: Call,
  ): Promise<{ readonly rows: number; readonly file: string }>;
}

export interface Names {
  /** Finds zone and record ids beforehand. */
  lookup(call: Call): Promise<Facts>;
  /** Leads every public host to a site's ingress, in one call to the vendor. `found` is what `lookup` gave. */
  reroute(to: Site, found: Facts, call: Call): Promise<{ readonly changed: number }>;
  /** Records of the internal zones: applications to the site, `db` and `idp` to what it works on. */
  rerouteInternal(to: Site, server: string, call: Call): Promise<{ readonly changed: number }>;
}

export interface Verifier {
  /** Release, database write, login and every host through the site's own ingress. @throws StandbyError VerificationFailed */
  inside(to: Site, server: string, epoch: number, call: Call): Promise<Facts>;
  /** The same as the public sees it: DNS answers of several resolvers, TLS, pages, login, a write read back. */
  outside(to: Site, epoch: number, call: Call): Promise<Facts>;
}

export interface Leases {
  read(call: Call): Promise<LeaseReading>;
  /**
   * Moves the lease: the new site's agent claims, the old one is asked to let go, and where it does not answer its lease must
   * have run out. @throws StandbyError LeaseHeld, retryable, while the old holder may still write.
   */
  take(to: Site, epoch: number, call: Call): Promise<{ readonly waitedSeconds: number; readonly from?: Site }>;
  agent(site: Site, call: Call): Promise<AgentReading>;
}

/** One line of the journal. `hash` is SHA-256 over the previous line's hash and this line without its own. */
export interface JournalEntry {
  readonly seq: number;
  readonly at: Instant;
  readonly run: string;
  readonly what:
    | { readonly type: 'plan'; readonly plan: Plan; readonly who: string }
    | { readonly type: 'resume'; readonly who: string; readonly lost?: string; readonly abandon?: string }
    | { readonly type: 'intent'; readonly step: StepId; readonly attempt: number }
    | { readonly type: 'result'; readonly step: StepId; readonly facts: Facts; readonly skipped?: string }
    | { readonly type: 'failure'; readonly step: StepId; readonly error: string; readonly message: string }
    | { readonly type: 'undo-intent'; readonly step: StepId }
    | { readonly type: 'undone'; readonly step: StepId; readonly skipped?: string }
    | { readonly type: 'end'; readonly outcome: 'done' | 'aborted' };
  readonly previous: string;
  readonly hash: string;
}

export interface RecordedRun {
  readonly run: string;
  /** Of one that is broken: those of the store, where they are whole there; else none. */
  readonly entries: readonly JournalEntry[];
  /** JournalBroken: a copy is not as it was written, or this machine's and the store's went different ways. */
  readonly broken?: StandbyError;
}

/** Append-only; an entry is on local disk and, where it can be reached, in the store outside PROD before `append` returns. */
export interface Journal {
  /**
   * @returns the entries of the run that is named, or of the newest one.
   * @throws StandbyError JournalBroken of that run; not of the newest one when the store has it whole, to its end.
   */
  read(run?: string): Promise<readonly JournalEntry[]>;
  /** Newest first. */
  runs(): Promise<readonly RecordedRun[]>;
  append(entry: JournalEntry): Promise<void>;
}

/** One run at a time, across machines. */
export interface RunLock {
  /** @throws StandbyError RunInProgress that names who and since when. */
  acquire(run: string): Promise<{ readonly lost: AbortSignal; release(): Promise<void> }>;
}

export interface Announcer {
  announce(plan: Plan, facts: Facts, call: Call): Promise<void>;
}

export interface Clock {
  now(): Instant;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export interface Ports {
  readonly observer: Observer;
  readonly stacks: Stacks;
  readonly workloads: Workloads;
  readonly databases: Databases;
  readonly names: Names;
  readonly verifier: Verifier;
  readonly leases: Leases;
  readonly journal: Journal;
  readonly lock: RunLock;
  readonly announcer: Announcer;
  readonly clock: Clock;
  readonly emit: (event: RunEvent) => void;
}

export type { Reading };
