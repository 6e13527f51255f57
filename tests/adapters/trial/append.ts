/** Appends to a journal until it is killed, and says how far it has got. */
import { createJournal } from '../../../adapters/journal/journal';
import { nextEntry } from '../../../failover/journal';
import { openStore } from '../store';

async function main(run: string): Promise<void> {
  const container = openStore(process.env);
  const journal = createJournal({ environment: process.env, container: () => container, warn: () => undefined });
  let last = (await journal.read(run)).at(-1);
  for (;;) {
    const what = last
      ? ({ type: 'intent', step: 'promote', attempt: last.seq } as const)
      : ({ type: 'plan', who: 'x', plan: {} } as never);
    last = nextEntry(last, run, Date.now(), what);
    await journal.append(last);
    process.stdout.write(`${last.seq}\n`);
  }
}
void main(process.argv[2]!);
