/** `npm run bench [-- NAME]`. Exit code: 0 done, 1 a benchmark failed, 2 no such benchmark. */
import * as path from 'node:path';
import { dns } from './dns';
import { policies } from './policies';
import { machine, table, write, type Outcome } from './report';
import { start } from './start';

const benchmarks: ReadonlyMap<string, () => Promise<Outcome>> = new Map([
  ['start', start],
  ['policies', policies],
  ['dns', dns],
]);

async function run(names: readonly string[]): Promise<void> {
  const where = machine();
  console.log(`Node ${where.node}, ${where.cores} x ${where.processor}, load ${where.load}`);
  const outcomes: Record<string, Outcome> = {};
  for (const name of names) {
    const outcome = await benchmarks.get(name)?.();
    if (!outcome) continue;
    outcomes[name] = outcome;
    console.log([`\n${name}`, ...table(outcome.rows), ...outcome.notes.map((note) => `note: ${note}`)].join('\n'));
  }
  console.log(`\nwritten to ${path.relative(process.cwd(), write(where, outcomes))}`);
}

async function main(given: readonly string[]): Promise<number> {
  const known = [...benchmarks.keys()];
  const strange = given.length > 1 ? given.join(' ') : given.find((name) => !known.includes(name));
  if (strange !== undefined) {
    console.error(`bench: "${strange}" is no benchmark; allowed is one of ${known.join(', ')}, or nothing for all`);
    return 2;
  }
  try {
    await run(given.length > 0 ? given : known);
    return 0;
  } catch (cause) {
    console.error(`bench: ${(cause as Error).message}`);
    return 1;
  }
}

void main(process.argv.slice(2)).then((code) => (process.exitCode = code));
