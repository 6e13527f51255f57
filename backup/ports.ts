/** What the backup engine needs of the world. Every call takes a signal that aborts it and throws StandbyError. */
import type { DataSet, Instant, Manifest, RecoveryRange, Verdict } from './model';

export interface Call {
  readonly signal: AbortSignal;
  /** Told to the person while it goes on. */
  readonly progress: (message: string) => void;
}

/** What a vault is, for the count of copies: 3 copies, 2 media, 1 offsite, 1 offline, 0 errors. */
export interface VaultTraits {
  /** Name in configuration: `intg`, `offsite`, `offline`. */
  readonly name: string;
  readonly medium: 'azure-blob' | 's3' | 'file';
  /** At another provider than the source. */
  readonly offsite: boolean;
  /** Cut off from compute: an export that is not mounted any more. */
  readonly offline: boolean;
  /** Days for which the storage keeps everything, whatever is asked of it. @default - as long as it is asked to, or unknown */
  readonly keepsDays?: number;
}

/** A place that keeps backups and lets nobody change or delete them before their time: the storage refuses, not this code. */
export interface Vault {
  readonly traits: VaultTraits;
  /** Written once; kept until `keepUntil`. @throws StandbyError ObjectExists when it is there already. */
  put(name: string, body: NodeJS.ReadableStream | Buffer, keepUntil: Instant, call: Call): Promise<void>;
  get(name: string, call: Call): Promise<NodeJS.ReadableStream>;
  /** Names and sizes of what begins with `prefix`. */
  list(prefix: string, call: Call): AsyncIterable<{ readonly name: string; readonly bytes: number }>;
  /** @throws StandbyError ObjectLocked when its time has not come. */
  remove(name: string, call: Call): Promise<void>;
}

export interface Catalog {
  manifests(dataSet: DataSet | undefined, call: Call): Promise<readonly Manifest[]>;
  verdicts(dataSet: DataSet | undefined, call: Call): Promise<readonly Verdict[]>;
}

/** A PostgreSQL server that exists for one purpose and is removed after it. Passwords are never in `toString` or JSON. */
export interface ThrowAwayServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** On this machine's loopback, without encryption. */
  readonly plain?: boolean;
  /** Where it came from a recovery source: its name there, and how far it has come. */
  readonly name?: string;
  readonly recoveryPoint?: Instant;
  remove(): Promise<void>;
}

/** A restored server that stays when the command ends, for people to look at or to switch to. */
export interface Stay {
  /** A name that no server has. */
  readonly name: string;
  /** From then on a clean-up removes it. */
  readonly expiresAt: Instant;
}

/** Brings a server back as it was at a moment, beside the one that has the business, never over it. */
export interface RecoverySource {
  /** `azure` is the managed server's own point-in-time restore, `pgbackrest` a self-run server's. */
  readonly kind: 'azure' | 'pgbackrest';
  range(call: Call): Promise<RecoveryRange>;
  /** @param stay - @default - it is thrown away: it has a name and a password that nobody else knows. @throws StandbyError ServerExists */
  restore(at: Instant | 'latest', call: Call, stay?: Stay): Promise<ThrowAwayServer>;
}
