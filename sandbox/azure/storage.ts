/**
 * What the ARM service tells the blob layer: `folders.azure/storage.json` (mode 0600: it holds the accounts' keys), replaced
 * atomically at each change of a storage resource. The blob layer reads it at each request (`storageState()`; cached by mtime).
 *
 *     {"accounts": {"stmoodtalkbackup": {
 *       "id": "/subscriptions/…/storageAccounts/stmoodtalkbackup", "location": "northeurope",
 *       "keys": [{"keyName": "key1", "value": "<base64>"}, {"keyName": "key2", "value": "<base64>"}],
 *       "allowSharedKeyAccess": false, "allowBlobPublicAccess": false, "minimumTlsVersion": "TLS1_2",
 *       "versioning": true, "deleteRetentionDays": 35, "containerDeleteRetentionDays": 35,
 *       "containers": {"backups": {"id": "/subscriptions/…/containers/backups", "publicAccess": "None",
 *         "immutability": {"days": 35, "locked": true, "allowProtectedAppendWrites": false}, "legalHold": false}},
 *       "managementRules": [<rule of a management policy, in wire form>]}}}
 *
 * `immutability` null = no policy. `versionDays`, where it is there: each version stays for so long (the account's immutability of versions). `deleteRetentionDays` null = soft delete off. A container that is gone here is to be removed there.
 * Who may read or write blobs with a token: `may()` of access.ts, with a data action and the container's id.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders } from '../world';
import type { Json } from './kind';

export interface Immutability {
  readonly days: number;
  readonly locked: boolean;
  readonly allowProtectedAppendWrites: boolean;
}

export interface StorageContainer {
  readonly id: string;
  readonly publicAccess: 'None' | 'Blob' | 'Container';
  readonly immutability: Immutability | null;
  readonly legalHold: boolean;
}

export interface StorageAccount {
  readonly id: string;
  readonly location: string;
  /** `value` is base64 of 64 bytes: the key of shared key authorization and of SAS signatures. */
  readonly keys: readonly { readonly keyName: string; readonly value: string }[];
  readonly allowSharedKeyAccess: boolean;
  readonly allowBlobPublicAccess: boolean;
  readonly minimumTlsVersion: string;
  readonly versioning: boolean;
  readonly versionDays?: number;
  readonly deleteRetentionDays: number | null;
  readonly containerDeleteRetentionDays: number | null;
  readonly containers: Readonly<Record<string, StorageContainer>>;
  readonly managementRules: readonly Json[];
}

export interface StorageState {
  readonly accounts: Readonly<Record<string, StorageAccount>>;
}

export const storageFile = path.join(folders.azure, 'storage.json');

let cached: { readonly stamp: string; readonly state: StorageState } | undefined;

/** The accounts as they are now; none when the ARM service has not written any yet. */
export function storageState(): StorageState {
  const stat = fs.statSync(storageFile, { throwIfNoEntry: false });
  if (!stat) return { accounts: {} };
  const stamp = `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
  if (cached?.stamp !== stamp)
    cached = { stamp, state: JSON.parse(fs.readFileSync(storageFile, 'utf8')) as StorageState };
  return cached.state;
}

export function writeStorageState(state: StorageState): void {
  fs.mkdirSync(folders.azure, { recursive: true });
  fs.writeFileSync(storageFile + '.new', JSON.stringify(state), { mode: 0o600 });
  fs.renameSync(storageFile + '.new', storageFile);
}
