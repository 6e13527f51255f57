/** `standby drill`: parse, ask, render, exit code. */
import type { Command } from 'commander';
import { createInterface } from 'node:readline/promises';
import { cleanExpired, findDrills, planDrill } from '../adapters/drill/drills';
import { DrillRun, evidenceFolder, removeDrill } from '../adapters/drill/run';
import { DrillStack } from '../adapters/drill/stack';
import type { AdapterContext } from '../adapters/context';
import { loadConfiguration } from '../adapters/pulumi/configuration';
import { readLandscape } from '../adapters/pulumi/landscape';
import { longestDrillHours } from '../config/drill';
import { describeDrill, parseLife, parseMoment, type Evidence, type FoundDrill } from '../failover/drill';
import { figureLines } from '../failover/drillReport';
import { exitCodes, StandbyError } from '../failover/errors';

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
  const at = options.at === undefined ? {} : { at: parseMoment(options.at, now) };
  const say = sayer(options);
  const { signal, free } = interruptible();
  try {
    const context = await contextOf(signal);
    if (options.cleanup) return await cleanUp(context, options, say, signal);
    const { standing } = await cleanExpired(context, {
      signal,
      progress: (message) => say({ step: 'cleanup', message }),
    });
    if (standing) throw running(standing);
    const plan = planDrill(context, { ...at, lifeMs, keep: options.keep ?? false }, now);
    if (options.json) print(JSON.stringify({ code: 'DrillPlanned', plan }));
    else describeDrill(plan).forEach(print);
    await confirm('Begin?', options);
    const evidence = await new DrillRun(context, new DrillStack(context), plan, say).run(signal);
    report(evidence, evidenceFolder(context.environment, plan), options);
  } finally {
    free();
  }
}

async function contextOf(signal: AbortSignal): Promise<AdapterContext> {
  const environment = process.env;
  const landscape = await readLandscape(environment, signal);
  return { environment, landscape, configuration: () => loadConfiguration(environment) };
}

const running = ({ who, startedAt, expiresAt }: FoundDrill) =>
  new StandbyError(
    'DrillRunning',
    `a drill stands, begun by ${who ?? 'somebody'} at ${time(startedAt)}, until ${time(expiresAt)}: wait, or remove it with \`standby drill --cleanup\``,
  );
const time = (at: number | undefined) => (at === undefined ? 'an unknown time' : new Date(at).toISOString());

async function cleanUp(context: AdapterContext, options: Options, say: Say, signal: AbortSignal): Promise<void> {
  const found = await findDrills(context, signal);
  if (found && !options.json) {
    print(`a drill begun by ${found.who ?? 'somebody'} at ${time(found.startedAt)}, until ${time(found.expiresAt)}`);
  }
  if (found) await confirm('Remove it?', options);
  const progress = (message: string) => say({ step: 'cleanup', message });
  await removeDrill(context, new DrillStack(context), { signal, progress });
  if (options.json) print(JSON.stringify({ code: 'DrillRemoved', found: found !== undefined }));
  else print(found ? 'removed' : 'no drill stands, and nothing of one is left');
}

function report(evidence: Evidence, folder: string, { json }: Options): void {
  const { verdict, checks, figures, fault, plan, removed } = evidence;
  if (json) print(JSON.stringify({ code: 'DrillEnded', evidence }));
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
    if (json) print(JSON.stringify({ code: 'DrillStep', at: Date.now(), step, message, seconds }));
    else if (message !== undefined && process.stdout.isTTY) print(`      ${message}`);
    else if (seconds !== undefined) print(`  ${seconds.toFixed(1).padStart(6)} s  ${step}`);
  };

/** @throws StandbyError Declined when it is not confirmed. */
async function confirm(question: string, { yes }: Options): Promise<void> {
  if (yes) return;
  const declined = new StandbyError('Declined', 'nothing was done: confirm it, or use --yes');
  if (!process.stdin.isTTY) throw declined;
  const ask = createInterface({ input: process.stdin, output: process.stderr });
  try {
    if (!/^y(es)?$/i.test((await ask.question(`${question} [y/N] `)).trim())) throw declined;
  } finally {
    ask.close();
  }
}

/** The first Ctrl-C ends what goes on and removes the drill; the second one ends at once, and leaves it to `--cleanup`. */
function interruptible(): { readonly signal: AbortSignal; readonly free: () => void } {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(exitCodes.resumable);
    controller.abort(new StandbyError('Interrupted', 'interrupted', { exit: 'safe' }));
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  return { signal: controller.signal, free: () => void process.off('SIGINT', stop).off('SIGTERM', stop) };
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);
