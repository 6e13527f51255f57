/** What a vault refuses, in the same words whatever it is made of. */
import { StandbyError } from '../../../failover/errors';

export const objectExists = (vault: string, name: string) =>
  new StandbyError('ObjectExists', `vault ${vault} has ${name} already: what is kept there is written once`);
export const objectMissing = (vault: string, name: string) =>
  new StandbyError('ObjectMissing', `vault ${vault} has no ${name}`);
export const objectLocked = (vault: string, name: string, cause?: unknown) =>
  new StandbyError('ObjectLocked', `vault ${vault} keeps ${name}: its time has not come`, { cause });
export const notLocked = (vault: string, what: string) =>
  new StandbyError(
    'VaultNotLocked',
    `vault ${vault} would let anybody delete what is kept there (${what}): nothing is put into it`,
  );

/** @param status - what the storage answered; undefined where it did not. */
export function vaultFault(vault: string, what: string, status: number | undefined, cause: Error): StandbyError {
  const passing = status === undefined || status === 429 || status >= 500;
  return passing
    ? new StandbyError('VaultUnreachable', `vault ${vault} gives no answer (${what}): ${cause.message}`, {
        retryable: true,
        cause,
      })
    : new StandbyError('VaultRefused', `vault ${vault} refuses (${what}, ${status}): ${cause.message}`, { cause });
}
