/** `standby status`: everything at once, with its age. */
import type { Command } from 'commander';
import type { World } from '../adapters/wire';
import { interruptible } from './interrupt';
import { withJson } from './options';
import { paintFor, print, printJson } from './output';
import { marked, statusLines } from './render/status';

export function addStatusCommand(program: Command): void {
  withJson(program.command('status'))
    .description('both sites, databases, names, lease and state, as they are now; changes nothing')
    .addHelpText(
      'after',
      '\nok known and well · !! known and not well · ?? not known, or too old · -- nothing to judge\n\nExamples:\n  standby status\n  standby status --json | jq .observation.lease',
    )
    .action(status);
}

async function status({ json }: { readonly json?: true }): Promise<void> {
  const warn = (message: string) => void process.stderr.write(`standby: ${message}\n`);
  await interruptible(async (signal) => {
    const { openWorld, switchRules } = await import('../adapters/wire');
    const world = await openWorld(process.env, { emit: () => undefined, warn, signal });
    const [observation, run] = await Promise.all([world.ports.observer.observe(signal), lastRun(world)]);
    if (json) return printJson({ observation, run });
    const inUse = switchRules
      .productionServers(observation.configuration.values)
      .find(({ database }) => database)?.name;
    const paint = paintFor(process.stdout);
    statusLines(observation, inUse, Date.now(), paint).forEach(print);
    print(run.unread ? marked('bad', 'journal', run.text, paint) : run.text);
  });
}

interface Records {
  readonly ports: Pick<World['ports'], 'journal'>;
  readonly holder: World['holder'];
}

interface LastRun {
  readonly text: string;
  readonly run?: string;
  readonly ended?: boolean;
  /** The journal can't be read: `text` says why. */
  readonly unread?: true;
}

/** A run that has not ended is the first thing to know. */
export async function lastRun({ ports, holder }: Records): Promise<LastRun> {
  const [{ fold }, { ending, nextCommands }] = await Promise.all([
    import('../failover/journal'),
    import('../failover/messages'),
  ]);
  const [entries, held] = await Promise.all([
    ports.journal.read().catch((cause: Error) => cause),
    holder().catch(() => 'unknown' as const),
  ]);
  // What it can't tell hides no reading of the world.
  if (entries instanceof Error) return { text: entries.message, unread: true };
  if (entries.length === 0) return { text: 'no run yet' };
  const state = fold(entries);
  const { run, plan, outcome, abandoned, who } = state;
  const what = `run ${run} (${plan.kind} ${plan.from} → ${plan.to}, by ${who})`;
  if (outcome) return { text: `${what}: ${ending({ outcome, abandoned })}`, run, ended: true };
  if (held === 'unknown') return { text: `${what} has not ended; who carries it out is not known`, run, ended: false };
  if (held)
    return { text: `${what} is under way: ${held.who} since ${new Date(held.since).toISOString()}`, run, ended: false };
  return { text: `${what} has stopped half-way: ${nextCommands(state)}`, run, ended: false };
}
