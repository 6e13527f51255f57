/** `npm run bench [-- NAME [OPTIONS]]`. Exit code: 0 done, 1 a benchmark failed, 2 no such benchmark, or no such option of it. */
import * as path from 'node:path';
import { StandbyError } from '../failover/errors';
import { backup } from './backup';
import { dns } from './dns';
import { policies } from './policies';
import { machine, table, write, type Outcome } from './report';
import { start } from './start';

type Benchmark = (options: readonly string[]) => Promise<Outcome>;

const quick = new Map<string, Benchmark>([
  ['start', start],
  ['policies', policies],
  ['dns', dns],
]);
/** Only by its name: it takes long, and has options. */
const named = new Map<string, Benchmark>([['backup', backup]]);
const benchmarks = new Map([...quick, ...named]);

async function run(names: readonly string[], options: readonly string[]): Promise<void> {
  const where = machine();
  console.log(`Node ${where.node}, ${where.cores} x ${where.processor}, load ${where.load}`);
  if (where.load > 1)
    console.log('warning: the machine is busy with something else; trust ratios and CPU, not wall time');
  const outcomes: Record<string, Outcome> = {};
  for (const name of names) {
    const outcome = await benchmarks.get(name)?.(options);
    if (!outcome) continue;
    outcomes[name] = outcome;
    console.log([`\n${name}`, ...table(outcome.rows), ...outcome.notes.map((note) => `note: ${note}`)].join('\n'));
  }
  console.log(`\nwritten to ${path.relative(process.cwd(), write(where, outcomes))}`);
}

async function main([name, ...options]: readonly string[]): Promise<number> {
  const isStrange = name !== undefined && (!benchmarks.has(name) || (options.length > 0 && !named.has(name)));
  if (isStrange) {
    const [all, rest] = [[...benchmarks.keys()].join(', '), [...quick.keys()].join(', ')];
    console.error(
      `bench: "${[name, ...options].join(' ')}" is no benchmark; allowed is one of ${all}, or nothing for ${rest}`,
    );
    return 2;
  }
  try {
    await run(name === undefined ? [...quick.keys()] : [name], options);
    return 0;
  } catch (cause) {
    console.error(`bench: ${(cause as Error).message}`);
    return cause instanceof StandbyError && cause.exit === 'usage' ? 2 : 1;
  }
}

void main(process.argv.slice(2)).then((code) => (process.exitCode = code));
