/** `standby resume`, `abort` and `runs`: what was begun, and how it goes on or back. */
import type { Command } from 'commander';
import { StandbyError } from '../failover/errors';
import type { Plan } from '../failover/model';
import type { JournalEntry, RecordedRun } from '../failover/ports';
import type { RunState } from '../failover/journal';
import { ending, nextCommands } from '../failover/messages';
import { finish } from './change';
import { interruptible } from './interrupt';
import { parseReason, withJson } from './options';
import { paintFor, print, printJson, seconds } from './output';
import { confirmByName } from './prompt';
import { progressTo, type Progress } from './render/progress';

const run = ['[run]', 'run to look at (default: the newest)'] as const;

interface Options {
  readonly json?: true;
  readonly yes?: true;
  readonly siteIsLost?: string;
  readonly abandon?: string;
}

export function addRunCommands(program: Command): void {
  withJson(program.command('resume'))
    .argument(...run)
    .description('go on with a run that stopped half-way, also one of another machine')
    .option(
      '--site-is-lost <reason>',
      'the site that the run began at died in the middle of it: what can only be done there is left',
      parseReason,
    )
    .addHelpText(
      'after',
      '\nExamples:\n  standby resume                  the newest run; a run that is done changes nothing\n  standby resume 2f1c…-a0f1      that one\n  standby resume --site-is-lost "westeurope does not answer, provider confirms"',
    )
    .action(resume);
  withJson(program.command('abort'))
    .argument(...run)
    .description('take a run back, as long as there is a way back')
    .option('--yes', 'do not ask')
    .option(
      '--site-is-lost <reason>',
      'what can’t be taken back at the site that the run began at is left',
      parseReason,
    )
    .option(
      '--abandon <reason>',
      'end the run where it stands, touch nothing; a person puts right what is left',
      parseReason,
    )
    .addHelpText(
      'after',
      '\nExamples:\n  standby abort                   asks first; says so when the point of no return is passed',
    )
    .action(abort);
  withJson(program.command('runs'))
    .argument('[run]', 'run to show step by step')
    .description('runs of all machines, the newest first')
    .addHelpText(
      'after',
      '\nExamples:\n  standby runs                    one line each, and how it ended\n  standby runs 2f1c…-a0f1        that one, step by step',
    )
    .action(runs);
}

type Act = (entries: readonly JournalEntry[], plan: Plan, signal: AbortSignal, progress: Progress) => Promise<void>;

async function withRun(
  name: string | undefined,
  options: Options,
  act: (world: import('../adapters/wire').World) => Act,
): Promise<void> {
  const progress = progressTo(options.json ?? false);
  await interruptible(
    async (signal) => {
      const { openWorld } = await import('../adapters/wire');
      const world = await openWorld(process.env, { ...progress, signal });
      try {
        const entries = await world.ports.journal.read(name);
        const [first] = entries;
        if (first?.what.type !== 'plan') throw noRun(name);
        await act(world)(entries, first.what.plan, signal, progress);
      } finally {
        progress.end();
        await world.close();
      }
    },
    () => progress.warn('stopping: what is under way is cut off'),
  );
}

const noRun = (name: string | undefined) =>
  new StandbyError(
    'NoRun',
    name === undefined ? 'there is no run yet' : `there is no run ${name}: \`standby runs\` shows them`,
  );

const resume = (name: string | undefined, options: Options) =>
  withRun(name, options, ({ ports }) => async (entries, plan, signal, progress) => {
    const [{ execute }, { whoAmI }] = await Promise.all([
      import('../failover/runner'),
      import('../adapters/lock/lock'),
    ]);
    if (entries.at(-1)?.what.type === 'end' && !options.json) print(`run ${plan.id} has ended: nothing is left to do`);
    const lost = options.siteIsLost === undefined ? {} : { lost: options.siteIsLost };
    finish(await execute(plan, ports, { who: whoAmI(), resume: entries, signal, ...lost }), plan.id, progress);
  });

const abort = (name: string | undefined, options: Options) =>
  withRun(name, options, ({ ports }) => async (entries, plan, signal, progress) => {
    const [{ abort: takeBack }, { whoAmI }] = await Promise.all([
      import('../failover/runner'),
      import('../adapters/lock/lock'),
    ]);
    const { siteIsLost: lost, abandon } = options;
    const what =
      abandon === undefined ? `take ${plan.kind} to ${plan.to} back` : `end ${plan.kind} to ${plan.to} where it stands`;
    await confirmByName(what, plan.from, options.yes ?? false, signal);
    const words = { ...(lost === undefined ? {} : { lost }), ...(abandon === undefined ? {} : { abandon }) };
    finish(await takeBack(entries, ports, { who: whoAmI(), signal, ...words }), plan.id, progress);
  });

async function runs(name: string | undefined, options: Options): Promise<void> {
  const { fold } = await import('../failover/journal');
  await interruptible(async (signal) => {
    const { openJournal } = await import('../adapters/wire');
    const warn = (message: string) => process.stderr.write(`standby: ${message}\n`);
    const journal = await openJournal(process.env, { signal, warn });
    const found: readonly RecordedRun[] =
      name === undefined ? await journal.runs() : [{ run: name, entries: await journal.read(name) }];
    if (name !== undefined && found[0]?.entries.length === 0) throw noRun(name);
    if (options.json)
      found.forEach(({ broken, ...run }) => printJson({ ...run, ...(broken ? { broken: broken.message } : {}) }));
    else if (found.length === 0) print('no run yet');
    else
      for (const { run: id, entries, broken } of found) {
        print(entries.length > 0 ? runLine(fold(entries)) : id);
        if (broken) print(`  ${paintFor(process.stdout)('red', '!!')} ${broken.message}`);
      }
    if (name !== undefined && !options.json) stepLines(fold(found[0]!.entries)).forEach(print);
  });
}

function runLine(state: RunState): string {
  const { run: id, plan, who, startedAt, last, outcome, abandoned, aborting, committed } = state;
  const open = [...state.steps].find(([, { state: now }]) => now === 'begun' || now === 'undoing')?.[0];
  const where = open ? ` at ${open}` : '';
  const end = outcome
    ? ending({ outcome, abandoned })
    : `${aborting ? 'being taken back' : 'not ended'}${where}${committed ? ', no way back' : ''}: ${nextCommands(state)}`;
  const took = seconds((last.at - startedAt) / 1000);
  return `${new Date(startedAt).toISOString()}  ${id}  ${plan.kind} ${plan.from} → ${plan.to} (${plan.branch}), ${took}, by ${who}: ${end}`;
}

function stepLines({ plan, steps }: RunState): string[] {
  const paint = paintFor(process.stdout);
  return plan.steps.map(({ id, title }) => {
    const { state, attempts, skipped, failure } = steps.get(id) ?? { state: 'waiting', attempts: 0 };
    const more = skipped ?? failure?.message ?? '';
    const tries = attempts > 1 ? `, ${attempts} attempts` : '';
    return `  ${paint(state === 'done' ? 'green' : 'dim', state.padEnd(8))} ${title}${tries}${more ? `: ${more}` : ''}`;
  });
}
