/** What the engine sees, wants and does, as plain data: everything here can be written to a file and read back. */
import type { Switch } from '../config/failover';
import type { App, Hosts, Site } from '../config/fields';
import type { Exit } from './errors';

/** Milliseconds since the epoch. */
export type Instant = number;

/** Something that was looked at. A reading that failed is an unknown with its reason, never a default. */
export type Reading<T> =
  { readonly at: Instant; readonly value: T } | { readonly at: Instant; readonly unknown: string };

export const known = <T>(reading: Reading<T> | undefined): T | undefined =>
  reading && 'value' in reading ? reading.value : undefined;

/** A database server, as it says of itself. */
export interface ServerReading {
  readonly role: 'primary' | 'replica';
  /** A transaction of the administrator could write: neither a replica nor read-only by default. */
  readonly writable: boolean;
  /** Fencing token in the server: the epoch that was admitted last, and whether it may write now. Absent before the first one. */
  readonly token?: { readonly epoch: number; readonly open: boolean };
  /** Write position (primary) or replay position (replica): a PostgreSQL LSN such as `0/3000148`. */
  readonly position: string;
  /** Replica: whether it receives from its source now. */
  readonly streaming?: boolean;
  /** Replica: seconds since the last transaction it replayed was committed; 0 when it has replayed all it received and streams. */
  readonly lagSeconds?: number;
  /**
   * Replica: what its source committed longer ago is here, seconds; of the rest only the source knows. Counted from what was heard
   * of the source last, so it grows while that is silent, although nothing has noticed yet. Absent: can't tell.
   */
  readonly mayLackSeconds?: number;
  /** Primary that archives its log itself, and says so: Azure's servers and our own. */
  readonly archive?: ArchiveReading;
  /** Sessions of applications and identity provider now. */
  readonly sessions: number;
}

export interface ArchiveReading {
  /** Upper bound: what was committed before then is in the archive. 0 when nothing was written since; absent when nothing ever was archived. */
  readonly lagSeconds?: number;
  /** The last attempt failed. */
  readonly failing: boolean;
  /** Bytes of WAL that are not archived yet. */
  readonly pendingBytes: number;
}

export interface AppReading {
  readonly app: App;
  readonly wanted: number;
  readonly ready: number;
  readonly release: string;
  readonly epoch: number;
}

export interface ClusterReading {
  readonly apps: readonly AppReading[];
}

export interface IdentityReading {
  readonly issuer: string;
  /** Key ids that tokens are signed with. */
  readonly keys: readonly string[];
}

/** What a site's agent says of itself. */
export interface AgentReading {
  readonly site: Site;
  readonly epoch: number;
  /** `blind`: it stands by, and has not seen the lease for a while. */
  readonly state: 'holding' | 'failsafe' | 'fenced' | 'standby' | 'claiming' | 'blind';
  readonly why?: string;
}

/** The right to write, as the lease store has it. */
export interface LeaseReading {
  readonly mode: 'on' | 'off';
  readonly holder?: Site;
  readonly epoch?: number;
  /** Given up by its holder after it had fenced itself. */
  readonly released?: boolean;
  /** Since the last renewal, by the store's own clock, seconds. */
  readonly ageSeconds?: number;
  /** Changes with every write to the lease. */
  readonly version?: string;
}

export interface BackupReading {
  /** Newest moment that can be restored at the other site. */
  readonly recoveryPoint: Instant;
  /** When a drill last restored it and found rows in it, as this machine's records say; absent where none does. */
  readonly verifiedAt?: Instant;
}

/** A kept backup that a restore check found sound. */
export interface VerifiedBackup {
  readonly id: string;
  /** All that was committed until then is in it. */
  readonly recoveryPoint: Instant;
  readonly verifiedAt: Instant;
  /** Vault that it was restored from. */
  readonly vault: string;
  /** Of its contents, before they were sealed. */
  readonly bytes: number;
}

/** Newest kept backup of one data set that may be imported, and what was passed over on the way to it. */
export interface KeptReading {
  /** Absent when no backup of it ever passed a restore check. */
  readonly newest?: VerifiedBackup;
  /** Backups newer than that, counted by why they do not count: the code of a defect, or `NeverVerified`. */
  readonly skipped: Readonly<Record<string, number>>;
}

/** What the plan's own backups (`standby backup`, `standby estate`) could bring back at any site. */
export interface VaultReading {
  /** By data set, all that an import needs: `database/NAME` of each database that is configured, and `identity`. */
  readonly dataSets: Readonly<Record<string, KeptReading>>;
  /** Why this machine can't open them; absent when it can. */
  readonly sealed?: string;
}

export interface StackReading {
  /** Number of the stack's newest checkpoint. */
  readonly serial: number;
  /** An update holds the stack's lock, or was cut off in the middle. */
  readonly pending: boolean;
}

/** Addresses by resolver and by public host. */
export type NamesReading = Readonly<Record<string, Reading<Readonly<Record<string, readonly string[]>>>>>;

export interface SiteObservation {
  readonly cluster: Reading<ClusterReading>;
  readonly identity: Reading<IdentityReading>;
  readonly agent: Reading<AgentReading>;
  /** Public hosts, with the HTTP status that the site's own ingress answers for each; 0 where it does not answer. */
  readonly front: Reading<Readonly<Record<string, number>>>;
}

/** The part of the configuration that the engine changes, and what it needs to read beside it. */
export interface Configuration {
  readonly values: Switch;
  readonly zone: string;
  readonly hosts: Hosts;
  readonly release: string;
  readonly replicas: number;
  readonly objectives: { readonly recoveryTimeHours: number; readonly recoveryPointHours: number };
}

export interface Observation {
  readonly at: Instant;
  readonly configuration: Configuration;
  readonly stacks: Readonly<Record<'prod' | 'intg' | 'failover', Reading<StackReading>>>;
  readonly sites: Readonly<Record<Site, SiteObservation>>;
  /** By server name: every server that holds or held production data. */
  readonly servers: Readonly<Record<string, Reading<ServerReading>>>;
  /** By server name: what could be restored at the other site. */
  readonly backups: Readonly<Record<string, Reading<BackupReading>>>;
  /** Absent where the configuration has no backups of the plan's own. */
  readonly vault?: Reading<VaultReading>;
  readonly names: NamesReading;
  /** Content of the records at the vendor, by host: the edge's origin. */
  readonly records: Reading<Readonly<Record<string, string>>>;
  readonly lease: Reading<LeaseReading>;
  /** Answer times of the vendors' control planes, milliseconds. */
  readonly apis: Readonly<Record<'azure' | 'cloudflare', Reading<{ readonly latencyMs: number }>>>;
  /** Ingress address of each site, from the stacks' outputs. */
  readonly ingress: Readonly<Record<Site, string>>;
}

export const kinds = ['failover', 'switchover', 'failback', 'drill'] as const;
export type Kind = (typeof kinds)[number];

/** 1a: work on the other site's database. 1b: restore or import the last backup. 1c: promote the streaming replica. */
export const branches = ['1a', '1b', '1c'] as const;
export type Branch = (typeof branches)[number];
/** How a person names the branch of a database or identity provider. */
export const choices = { prod: '1a', restored: '1b', replica: '1c', imported: '1b' } as const satisfies Record<
  string,
  Branch
>;
export type Choice = keyof typeof choices;

/** What a person asks for. */
export interface Wish {
  readonly kind: Exclude<Kind, 'drill'>;
  readonly to: Site;
  readonly database?: Choice;
  /** A person's word that nobody can reach PROD (or the site that is left) and why: needed when it can't be fenced. */
  readonly lost?: string;
  /** A person accepts that committed rows are lost. Needed when a plan loses any. */
  readonly acceptLoss?: boolean;
  /** Move more records of the zone than is usual. */
  readonly manyNames?: boolean;
}

export interface BranchOption {
  readonly branch: Branch;
  /** 1b: whose backup it is, Azure's own or kept ones that are imported. */
  readonly way?: 'geoRestore' | 'import';
  /** Why it can't be taken; absent when it can. */
  readonly impossible?: string;
  /** Seconds of committed writes that it would lose; unknown where nobody can say. */
  readonly lossSeconds: number | 'unknown';
  readonly lossWhy: string;
  /** Seconds that it is expected to take until the outside is served. */
  readonly takesSeconds: number;
}

export const stepIds = [
  'prepare',
  'lookup-names',
  'reprotect',
  'export-diverged',
  'restore',
  'import-backup',
  'fence-workloads',
  'fence-database',
  'prove-fence',
  'take-lease',
  'record-recovery-point',
  'promote',
  'open-database',
  'bind',
  'verify-inside',
  'reroute-internal',
  'reroute',
  'verify-outside',
  'converge',
  'check-previews',
  'announce',
] as const;
export type StepId = (typeof stepIds)[number];

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type Facts = Readonly<Record<string, Json>>;

/** A step as a plan shows it and as a run runs it. */
export interface PlannedStep {
  readonly id: StepId;
  readonly title: string;
  /** Steps that must have ended before it. */
  readonly after: readonly StepId[];
  readonly limitSeconds: number;
  /** What it changes, in words a runbook uses; empty for a step that only reads. */
  readonly touches: readonly string[];
  readonly args: Facts;
  /** Undoing is over once this step has begun: the way out is forward, or a failback. */
  readonly pointOfNoReturn?: true;
}

export interface Plan {
  readonly format: 1;
  /** UUID; also the id of the run that carries it out. */
  readonly id: string;
  readonly kind: Wish['kind'];
  readonly from: Site;
  readonly to: Site;
  readonly branch: Branch;
  /** Epoch that the plan brings: the one seen, plus one. */
  readonly epoch: number;
  readonly createdAt: Instant;
  readonly expiresAt: Instant;
  /** SHA-256 (hex) of what was seen and matters; a world that gives another one is another world. */
  readonly fingerprint: string;
  readonly wish: Wish;
  readonly before: Switch;
  readonly after: Switch;
  readonly options: readonly BranchOption[];
  readonly why: string;
  readonly lossSeconds: number | 'unknown';
  /** Target for the whole, seconds until the outside is served. */
  readonly targetSeconds: number;
  readonly warnings: readonly string[];
  readonly steps: readonly PlannedStep[];
}

/** What a run tells while it goes. `code` is stable; `--json` prints these, one a line. */
export type RunEvent = { readonly at: Instant; readonly run: string } & (
  | { readonly code: 'RunStarted'; readonly plan: Plan; readonly resumed: boolean }
  | { readonly code: 'StepStarted'; readonly step: StepId; readonly attempt: number }
  | { readonly code: 'StepProgress'; readonly step: StepId; readonly message: string }
  | { readonly code: 'StepSkipped'; readonly step: StepId; readonly why: string }
  | { readonly code: 'StepDone'; readonly step: StepId; readonly seconds: number; readonly facts: Facts }
  | {
      readonly code: 'StepFailed';
      readonly step: StepId;
      readonly error: string;
      readonly message: string;
      /** Seconds until the next attempt; absent when there is none. */
      readonly retryInSeconds?: number;
    }
  | { readonly code: 'StepUndone'; readonly step: StepId }
  | { readonly code: 'RunEnded'; readonly result: RunResult }
);

export type RunResult =
  | { readonly outcome: 'done'; readonly seconds: number }
  | {
      readonly outcome: 'aborted';
      readonly seconds: number;
      /** Why a person ended it where it stood; absent when it was taken back. */
      readonly abandoned?: string;
    }
  | {
      readonly outcome: 'failed';
      readonly step: StepId;
      readonly error: string;
      readonly message: string;
      readonly resumable: boolean;
      /** The commands that go on from there, for a person. */
      readonly next: string;
      /** What the command ends with. @default - resumable */
      readonly exit?: Exit;
    };
