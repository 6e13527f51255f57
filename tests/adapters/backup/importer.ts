/** An operator's machine that imports, and may be killed at any word that it says. */
import { importBackups } from '../../../adapters/backup/import';
import { s3Vault } from '../../../adapters/backup/vaults/s3';
import type { AdapterContext } from '../../../adapters/context';
import { StandbyError } from '../../../failover/errors';
import type { Facts } from '../../../failover/model';
import type { ChosenBackup } from '../../../failover/ports';

export interface Order {
  readonly configuration: unknown;
  readonly landscape: unknown;
  readonly place: Parameters<typeof s3Vault>[0];
  readonly server: string;
  readonly backups: Readonly<Record<string, ChosenBackup>>;
}
export type Said =
  | { readonly progress: string }
  | { readonly facts: Facts }
  | { readonly fault: { readonly code: string; readonly exit?: string; readonly message: string } };

const { configuration, landscape, place, server, backups } = JSON.parse(process.env['IMPORT_ORDER'] ?? '{}') as Order;
const context = { configuration: () => configuration, landscape, environment: process.env } as AdapterContext;
const say = (said: Said) => process.send?.(said);
const call = { signal: AbortSignal.timeout(90_000), progress: (progress: string) => void say({ progress }) };

importBackups(context, server, backups, call, () => s3Vault(place, process.env)).then(
  (facts) => say({ facts }),
  (cause: Error) => {
    const told = cause instanceof StandbyError ? { code: cause.code, exit: cause.exit } : { code: cause.name };
    say({ fault: { ...told, message: cause.message } });
  },
);
