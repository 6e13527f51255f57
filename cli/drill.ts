/** `standby drill`: parse, ask, render, exit code. */
import type { Command } from 'commander';
import { cleanExpired, findDrills, planDrill, type DrillWish } from '../adapters/drill/drills';
import { DrillRun, evidenceFolder, removeDrill } from '../adapters/drill/run';
import { DrillStack } from '../adapters/drill/stack';
import type { AdapterContext } from '../adapters/context';
import { openContext } from '../adapters/wire';
import { longestDrillHours } from '../config/drill';
import { describeDrill, parseLife, parseMoment, type Evidence, type FoundDrill } from '../failover/drill';
import { figureLines } from '../failover/drillReport';
import { exitCodes, StandbyError } from '../failover/errors';
import { interruptible } from './interrupt';
import { print, printJson } from './output';
import { confirmByName } from './prompt';

interface Options {
  readonly at?: string;
  readonly ttl: string;
  readonly keep?: true;
  readonly cleanup?: true;
  readonly json?: true;
  readonly yes?: true;
}

const examples = `
Examples:
  standby drill                                  copy PROD's last backup, run INTG on it, look at it, remove it
  standby drill --at 2026-01-31T22:00:00Z        as it was then
  standby drill --keep --ttl 2h                  leave it for people to look at
  standby drill --cleanup                        remove what is left of a drill, also of one that was killed

What was seen is in STANDBY_RUNS/drill-NUMBER/evidence.json and evidence.md.
Ends with 0 when every check passed, 5 when one failed or could not be made, 4 when something is left: \`standby drill --cleanup\`.`;

export function addDrillCommand(program: Command): void {
  program
    .command('drill')
    .description('INTG in isolation, on a copy of production’s data; production is not touched')
    .option('--at <time>', 'moment that the copy shows, in UTC (default: the last backup)')
    .option('--ttl <duration>', `when it ends at the latest: 10m to ${longestDrillHours}h`, '4h')
    .option('--keep', 'leave it until then')
    .option('--cleanup', 'remove the drill that stands, and what is left of any')
    .option('--json', 'typed events, one a line')
    .option('--yes', 'do not ask')
    .addHelpText('after', examples)
    .action(drill);
}

async function drill(options: Options): Promise<void> {
  const now = Date.now();
  const lifeMs = parseLife(options.ttl, longestDrillHours);
  const wish = { lifeMs, keep: options.keep ?? false };
  const asked = options.at === undefined ? wish : { ...wish, at: parseMoment(options.at, now) };
  await interruptible(
    async (signal) => {
      const context = await openContext(process.env, signal);
      await (options.cleanup ? cleanUp(context, options, signal) : carryOut(context, asked, now, options, signal));
    },
    () => process.stderr.write('stopping: what was made is removed; once more leaves it to standby drill --cleanup\n'),
  );
}

async function carryOut(context: AdapterContext, wish: DrillWish, now: number, options: Options, signal: AbortSignal) {
  const say = sayer(options);
  const { standing } = await cleanExpired(context, {
    signal,
    progress: (message) => say({ step: 'cleanup', message }),
  });
  if (standing) throw running(standing);
  const plan = planDrill(context, wish, now);
  if (options.json) printJson({ code: 'DrillPlanned', plan });
  else describeDrill(plan).forEach(print);
  await confirmByName(`drill ${plan.number}`, 'drill', options.yes ?? false, signal);
  const evidence = await new DrillRun(context, new DrillStack(context), plan, say).run(signal);
  report(evidence, evidenceFolder(context.environment, plan), options);
}

const running = ({ who, startedAt, expiresAt }: FoundDrill) =>
  new StandbyError(
    'DrillRunning',
    `a drill stands, begun by ${who ?? 'somebody'} at ${time(startedAt)}, until ${time(expiresAt)}: wait, or remove it with \`standby drill --cleanup\``,
  );
const time = (at: number | undefined) => (at === undefined ? 'an unknown time' : new Date(at).toISOString());

async function cleanUp(context: AdapterContext, options: Options, signal: AbortSignal): Promise<void> {
  const say = sayer(options);
  const found = await findDrills(context, signal);
  if (found && !options.json) {
    print(`a drill begun by ${found.who ?? 'somebody'} at ${time(found.startedAt)}, until ${time(found.expiresAt)}`);
  }
  if (found) await confirmByName('remove the drill', 'drill', options.yes ?? false, signal);
  const progress = (message: string) => say({ step: 'cleanup', message });
  await removeDrill(context, new DrillStack(context), { signal, progress });
  if (options.json) printJson({ code: 'DrillRemoved', found: found !== undefined });
  else print(found ? 'removed' : 'no drill stands, and nothing of one is left');
}

function report(evidence: Evidence, folder: string, { json }: Options): void {
  const { verdict, checks, figures, fault, plan, removed } = evidence;
  if (json) printJson({ code: 'DrillEnded', evidence });
  else {
    for (const { name, outcome, detail } of checks) print(`  ${outcome.padEnd(8)}  ${name}: ${detail}`);
    for (const [name, value] of figureLines(figures)) print(`  ${name.padEnd(18)} ${value}`);
    if (fault) print(`  fault: ${fault}`);
    print(`drill ${plan.number}: ${verdict}; ${folder}/evidence.md`);
  }
  if (!removed && (!plan.keep || fault)) process.exitCode = exitCodes.resumable;
  else if (verdict !== 'passed') process.exitCode = exitCodes.safe;
}

type Say = (event: { readonly step: string; readonly message?: string; readonly seconds?: number }) => void;

/** A line for each step; what goes on inside one only where somebody reads along. */
const sayer =
  ({ json }: Options): Say =>
  ({ step, message, seconds }) => {
    if (json) printJson({ code: 'DrillStep', at: Date.now(), step, message, seconds });
    else if (message !== undefined && process.stdout.isTTY) print(`      ${message}`);
    else if (seconds !== undefined) print(`  ${seconds.toFixed(1).padStart(6)} s  ${step}`);
  };
