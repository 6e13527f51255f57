/** What backups are made of: data sets, manifests, verdicts. Shapes only; times are milliseconds since 1970, sizes bytes. */

export type Instant = number;

/** `database/<name>` is one database of the server that has the business; the others are what a failover needs beside it. */
export type DataSet =
  | `database/${string}`
  | 'identity'
  | 'names'
  | 'state'
  | 'journal'
  | 'secrets'
  | 'source'
  | 'images'
  | 'monitoring'
  | 'logs'
  | 'documents';

/** One sealed object of a backup. Digests are SHA-256 in hex. */
export interface Part {
  readonly name: string;
  /** As it lies in the vault: encrypted. */
  readonly bytes: number;
  readonly sha256: string;
  /** Before it was sealed: equal digests are equal contents, so a part that was verified once needs no second restore. */
  readonly plainBytes: number;
  readonly plainSha256: string;
}

/** What the source said of itself in the moment of the backup; a restore must say the same. */
export interface DatabaseFacts {
  readonly database: string;
  /** `system_identifier` of the cluster. */
  readonly system: string;
  readonly version: string;
  /** Exact count by `schema.table`, in the snapshot of the backup. Partitions count as the table that they are of. */
  readonly rows: Readonly<Record<string, number>>;
  /** SHA-256 over the definitions of all tables, columns, constraints and indexes. */
  readonly schema: string;
  /** Highest number of the sentinel table; absent where there is none. */
  readonly sentinel?: number;
  /** Names of roles that its definitions speak of: a server that is to restore it needs them. */
  readonly roles?: readonly string[];
}

export interface Manifest {
  readonly format: 1;
  readonly id: string;
  readonly company: string;
  readonly dataSet: DataSet;
  /** The field's tool that made it and reads it again: `pg_dump 15.18`, `pgBackRest 2.45`. */
  readonly tool: string;
  readonly startedAt: Instant;
  readonly endedAt: Instant;
  /** All that was committed until then is in it. */
  readonly recoveryPoint: Instant;
  readonly parts: readonly Part[];
  readonly facts?: DatabaseFacts;
  /**
   * SHA-256 over what a restore of it would make, whatever else differs between two dumps: the definitions as SQL, and the plain
   * digest of every table's rows. Equal ones restore to the same database.
   */
  readonly content?: string;
  /** Public keys (age) that can open it. */
  readonly recipients: readonly string[];
}

/** Why a backup does not count. Each is an error code of its own. */
export type Defect =
  | 'BackupTruncated'
  | 'BackupCorrupt'
  | 'BackupEmpty'
  | 'BackupOfWrongDatabase'
  | 'BackupTooOld'
  | 'BackupWithoutData'
  | 'BackupNotReadable';

export interface Check {
  readonly name: string;
  readonly passed: boolean;
  /** One line: what was wanted, what was found. Never data. */
  readonly detail: string;
}

/** A person's word that a table is meant to have lost its rows. */
export interface Accepted {
  /** `schema.table` */
  readonly table: string;
  /** `user@machine` */
  readonly by: string;
  readonly at: Instant;
}

/** What a restore check found. `defect` is absent when every check passed. */
export interface Verdict {
  readonly dataSet: DataSet;
  readonly id: string;
  readonly vault: string;
  readonly verifiedAt: Instant;
  readonly recoveryPoint: Instant;
  readonly seconds: number;
  readonly bytes: number;
  readonly checks: readonly Check[];
  readonly defect?: Defect;
  /** Parts that an earlier check had restored already, by digest. */
  readonly reused?: number;
  /** SHA-256 over the assertions that were asked. */
  readonly asked?: string;
  /** It holds for every later check of this backup; later backups are compared with it. */
  readonly accepted?: readonly Accepted[];
}

/** A moment that a server can be brought back to. */
export interface RecoveryRange {
  readonly earliest: Instant;
  readonly latest: Instant;
}
