/** Faults that a tester asks for (sandbox/chaos/rules.ts), in the words of Azure Resource Manager. */
import { ChaosBook, chaosFiles, neverAnswer } from '../chaos/rules';
import type { Request } from './http';
import { ArmError } from './kind';

const book = new ChaosBook(chaosFiles.azure);

const faults: Readonly<Record<number, readonly [code: string, message: string]>> = {
  429: ['TooManyRequests', 'The request is being throttled as the limit has been reached for this operation.'],
  500: [
    'InternalServerError',
    'The server encountered an unexpected condition that prevented it from fulfilling the request.',
  ],
  503: ['ServiceUnavailable', 'The service is temporarily unavailable.'],
};

/**
 * Does what the first matching rule says.
 * @returns whether the request is to be carried out, and whether its answer is to be lost
 * @throws ArmError with the rule's status
 */
export async function chaos(request: Request): Promise<{ readonly act: boolean; readonly lost: boolean }> {
  const fate = await book.befall(request);
  if (fate.kind === 'answered') {
    const [code, message] = faults[fate.status] ?? ['Fault', `A fault with status ${fate.status} was asked for.`];
    const headers = fate.retryAfter === undefined ? {} : { 'retry-after': String(fate.retryAfter) };
    throw new ArmError(fate.status, code, message, headers);
  }
  if (fate.kind === 'silent') await neverAnswer(request.gone);
  return { act: fate.kind === 'done' || fate.kind === 'lost', lost: fate.kind !== 'done' };
}
