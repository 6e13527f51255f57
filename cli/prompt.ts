/** Questions to a person; without a terminal there is nobody to ask. */
import { createInterface } from 'node:readline/promises';
import { StandbyError } from '../failover/errors';

export const canAsk = (): boolean => process.stdin.isTTY === true && process.stdout.isTTY === true;

/** @throws StandbyError Declined when the person ends the input, or the signal does. */
export async function ask(question: string, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const ended = new Promise<never>((_resolve, reject) => lines.once('close', () => reject(declined())));
  try {
    return (await Promise.race([lines.question(`${question} `, { signal }), ended])).trim();
  } catch {
    throw declined();
  } finally {
    ended.catch(() => undefined);
    lines.close();
  }
}

const declined = () => new StandbyError('Declined', 'declined: nothing was changed');

/** @throws StandbyError Declined, Unconfirmed. */
export async function confirmByName(what: string, name: string, yes: boolean, signal: AbortSignal): Promise<void> {
  if (yes) return;
  if (!canAsk()) {
    throw new StandbyError(
      'Unconfirmed',
      `${what} wants a person's word and there is no terminal to ask at: say --yes`,
    );
  }
  if ((await ask(`${what}: type ${name} to begin, anything else to leave it:`, signal)) !== name) throw declined();
}
