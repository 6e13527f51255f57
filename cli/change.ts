/** `standby switchover`, `failover`, `failback` and `plan`: look, plan, ask, carry out. */
import type { Command } from 'commander';
import type { World } from '../adapters/wire';
import { otherSite } from '../config/fields';
import { exitCodes, StandbyError } from '../failover/errors';
import type { Observation, Plan, RunResult, Wish } from '../failover/model';
import { hasUnknown } from '../failover/readings';
import { interruptible } from './interrupt';
import {
  withFailover,
  withFrom,
  withJson,
  withLoss,
  withNames,
  withRun,
  withTo,
  type RunOptions,
  type WishOptions,
} from './options';
import { coded, paintFor, print, printJson } from './output';
import { loadPlan, savePlan } from './planfile';
import { ask, canAsk, confirmByName } from './prompt';
import { openOptionLines, planLines } from './render/plan';
import { progressTo, type Progress } from './render/progress';
import { checkWords, wishOf } from './wish';

type Options = WishOptions & RunOptions;
type Kind = Wish['kind'];

const examples: Readonly<Record<Kind, string>> = {
  switchover: `
Examples:
  standby switchover --from prod --to intg            asks before it begins; nothing is lost
  standby switchover --dry-run                        what would be done
  standby plan switchover --save plan.json            a plan for somebody else to read; good for 15 minutes
  standby switchover --plan plan.json --yes           exactly that plan, without asking`,
  failover: `
Examples:
  standby failover --to intg                          the branch that loses least; asks what only a person can say
  standby failover --to intg --database prod          1a: PROD's cluster is gone, its database lives
  standby failover --to intg --prod-is-lost "fire in westeurope, provider confirms" --accept-loss --yes
  standby failover --to intg --dry-run                what every branch would lose and take`,
  failback: `
Examples:
  standby failback                                    builds a replica in PROD, then switches over: nothing is lost
  standby failback --dry-run`,
};

const planExamples = `
Examples:
  standby plan failover --to intg --database prod     what each branch would lose and take, every step of this one
  standby plan switchover --save plan.json            for standby switchover --plan plan.json
  standby plan failback
  standby plan drill                                  says where to read it`;

const descriptions: Readonly<Record<Kind, string>> = {
  switchover: 'both sites are healthy: the other one takes over, nothing is lost',
  failover: 'a site is lost: the other one takes over, with the least loss there can be',
  failback: 'home to PROD, nothing lost that INTG acknowledged',
};

/** What each kind lets a person say. */
const words: Readonly<Record<Kind, (command: Command) => Command>> = {
  switchover: (command) => withNames(withTo(withFrom(command))),
  failover: (command) => withNames(withLoss(withFailover(withTo(command)))),
  failback: (command) => withNames(withLoss(command)),
};

const kinds = ['switchover', 'failover', 'failback'] as const;

export function addChangeCommands(program: Command): void {
  for (const kind of kinds) {
    words[kind](withRun(program.command(kind)).description(descriptions[kind]))
      .addHelpText('after', examples[kind])
      .action((options: Options) => change(kind, options));
  }
}

export function addPlanCommand(program: Command): void {
  const command = program
    .command('plan')
    .description('what a command would do, step by step; nothing is changed')
    .addHelpText('afterAll', planExamples);
  for (const kind of kinds) {
    words[kind](withJson(command.command(kind)).description(descriptions[kind]))
      .option('--save <file>', 'write the plan to a file, for --plan')
      .action((options: Options) => change(kind, { ...options, dryRun: true }));
  }
  command
    .command('drill')
    .description('what a drill would do')
    .action(() => print('standby drill says what it would do before it asks: run `standby drill`, and answer no'));
}

async function change(kind: Kind, options: Options): Promise<void> {
  checkWords(options);
  const saved = options.plan === undefined ? undefined : loadPlan(options.plan, kind, options);
  const progress = progressTo(options.json ?? false);
  await interruptible(
    async (signal) => {
      const { openWorld } = await import('../adapters/wire');
      const world = await openWorld(process.env, { ...progress, signal });
      try {
        await carryOut(world, kind, options, saved, progress, signal);
      } finally {
        progress.end();
        await world.close();
      }
    },
    () => progress.warn('stopping: what is under way is cut off'),
  );
}

async function carryOut(
  world: World,
  kind: Kind,
  options: Options,
  saved: Plan | undefined,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const look = (again = false) => {
    if (again) progress.warn('not everything answers: looking again, for longer');
    return world.ports.observer.observe(signal, again);
  };
  const { plan, seen } = saved
    ? { plan: saved, seen: await look() }
    : await planned(look, wishOf(kind, options, world.context.configuration()), options, signal);
  if (options.save !== undefined) savePlan(options.save, plan);
  if (options.json && options.dryRun) printJson(plan);
  else if (!options.json) planLines(plan, paintFor(process.stdout)).forEach(print);
  if (options.dryRun) return;
  await confirmByName(`${plan.kind} to ${plan.to}`, plan.to, options.yes ?? false, signal);
  const [{ execute }, { whoAmI }] = await Promise.all([import('../failover/runner'), import('../adapters/lock/lock')]);
  finish(await execute(plan, world.ports, { who: whoAmI(), seen, signal }), plan.id, progress);
}

/**
 * Plans; where only a person's word is missing and there is somebody to ask, asks for it. One look can miss what is there: a
 * refusal, or a question to a person, rests on two, the second a patient one.
 */
async function planned(
  look: (again?: boolean) => Promise<Observation>,
  first: Wish,
  options: Options,
  signal: AbortSignal,
): Promise<{ readonly plan: Plan; readonly seen: Observation }> {
  const [{ plan }, { switchRules }] = await Promise.all([import('../failover/planner'), import('../adapters/wire')]);
  let wish = first;
  let seen = await look();
  for (let again = hasUnknown(seen); ;) {
    try {
      return { plan: plan(seen, wish, seen.at, switchRules), seen };
    } catch (cause) {
      if (!(cause instanceof StandbyError)) throw cause;
      if (again) {
        again = false;
        seen = await look(true);
        continue;
      }
      const more = await answer(cause, seen, wish, options, signal);
      if (!more) throw cause;
      wish = { ...wish, ...more };
    }
  }
}

/** @returns what the person adds to the wish; undefined when nothing that can be said would help, or nobody is there. */
async function answer(
  { code, message }: StandbyError,
  seen: Observation,
  wish: Wish,
  { json, yes, dryRun }: Options,
  signal: AbortSignal,
): Promise<Partial<Wish> | undefined> {
  if (json || !canAsk()) {
    if (!json) await tellOptions(seen, wish);
    return undefined;
  }
  const from = otherSite(wish.to);
  if (code === 'LostNotStated' && wish.lost === undefined) {
    await tellOptions(seen, wish);
    print(message);
    if (yes && !dryRun) return undefined;
    const reason = await ask(
      `If nobody can reach ${from}, say why (10 characters or more), else press return:`,
      signal,
    );
    return reason.length >= 10 ? { lost: reason } : undefined;
  }
  if (code === 'LossNotAccepted' && wish.acceptLoss === undefined) {
    await tellOptions(seen, wish);
    print(message);
    if (yes && !dryRun) return undefined;
    return (await ask('To accept that, type lose, else press return:', signal)) === 'lose'
      ? { acceptLoss: true }
      : undefined;
  }
  return undefined;
}

/** What every branch would lose and take, also when none is taken. */
async function tellOptions(seen: Observation, wish: Wish): Promise<void> {
  const [{ assess }, { switchRules }] = await Promise.all([import('../failover/planner'), import('../adapters/wire')]);
  try {
    openOptionLines(assess(seen, wish, seen.at, switchRules)).forEach(print);
  } catch (cause) {
    if (!(cause instanceof StandbyError)) throw cause;
  }
}

/** @returns nothing; sets the exit code that the result stands for, and says what to do next. */
export function finish(result: RunResult, run: string, progress: Progress): void {
  progress.end();
  if (result.outcome !== 'failed') return;
  process.exitCode = exitCodes[result.exit ?? 'resumable'];
  const next = result.resumable ? `; then ${result.next} (run ${run})` : '';
  process.stderr.write(`standby: ${result.step}: ${result.message}${next}${coded(result.error)}\n`);
}
