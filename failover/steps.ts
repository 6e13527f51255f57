/** What each step does. Small, repeatable, and by the ports alone; what earlier steps found comes from the journal. */
import type { Switch } from '../config/failover';
import type { Site } from '../config/fields';
import { StandbyError } from './errors';
import type { Facts, Json, Observation, Plan, PlannedStep, StepId } from './model';
import type { Call, ChosenBackup, Ports } from './ports';
import type { StepState } from './journal';
import { readyAt } from './situation';
import { returnLease, returnEpoch, undoValues } from './wayBack';

export interface StepContext {
  readonly plan: Plan;
  readonly step: PlannedStep;
  readonly ports: Ports;
  readonly call: Call;
  /** As the world was when this command began; the way back looks at what it needs itself. */
  readonly seen?: Observation;
  readonly stateOf: (id: StepId) => StepState;
  /** The site that the run began at was lost in the middle, by a person's word. */
  readonly lost?: string;
  /** It was begun before, and how far it came is not known. */
  readonly again: boolean;
}

export interface Step {
  /** Repeatable: what was done by an attempt that was cut off is done no second time, or does no harm. */
  readonly run: (context: StepContext) => Promise<Facts>;
  /** @returns why there is nothing to do; absent when there is, or nobody knows. */
  readonly done?: (context: StepContext) => Promise<string | undefined>;
  /** @default - there is nothing to take back */
  readonly undo?: (context: StepContext) => Promise<void>;
  /**
   * Pulumi asks both sites, and waits minutes for one that is silent: that they answer is seen before it is tried `again`, or
   * `first` where nobody waits for it.
   */
  readonly bothSites?: 'first' | 'again';
  /** A run that goes on does it again, as long as nobody else may write. */
  readonly renewed?: true;
}
export type StepTable = Readonly<Record<StepId, Step>>;

const argument = <T extends Json>(context: StepContext, key: string, is: (value: Json) => value is T): T => {
  const value = context.step.args[key];
  if (value !== undefined && is(value)) return value;
  throw new StandbyError(
    'PlanInvalid',
    `step ${context.step.id} of the plan has no usable ${key}: make the plan again`,
  );
};
const isText = (value: Json): value is string => typeof value === 'string';
const isNumber = (value: Json): value is number => typeof value === 'number';
const isSite = (value: Json): value is Site => value === 'prod' || value === 'intg';
const isObject = (value: Json): value is { readonly [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const serverOf = (context: StepContext) => argument(context, 'server', isText);
const siteOf = (context: StepContext) => argument(context, 'site', isSite);
const epochOf = (context: StepContext) => argument(context, 'epoch', isNumber);
const isBackups = (value: Json): value is Readonly<Record<string, ChosenBackup & Facts>> =>
  isObject(value) &&
  Object.values(value).every((one) => isObject(one) && isText(one['id'] ?? null) && isText(one['vault'] ?? null));
const backupsOf = (context: StepContext) => argument(context, 'backups', isBackups);
/** The switch of a step; what was lost in the middle of a run is left alone by it. */
const valuesOf = (context: StepContext): Switch =>
  leavingAlone(context, argument(context, 'values', isObject) as unknown as Switch);

function leavingAlone({ plan: { branch, from, to }, lost }: StepContext, values: Switch): Switch {
  if (lost === undefined || values.activeSite !== to) return values;
  // In PROD's database works whoever took over by branch 1a: of PROD only the cluster may be gone.
  return { ...values, unreachable: branch === '1a' && from === 'prod' ? 'prod-cluster' : from };
}

/** Carries out a switch. An update that was cut off holds the stack's lock. */
export async function become({ ports, call, again }: Pick<StepContext, 'ports' | 'call' | 'again'>, values: Switch) {
  if (again) await ports.stacks.unlock(call);
  await ports.stacks.configure(values, call);
  const { changed } = await ports.stacks.update(call);
  return { changed };
}

const up = (context: StepContext): Promise<Facts> => become(context, valuesOf(context));
/**
 * Gives the stacks the switch that they had. While a site is lost nobody could update what is there, and an update would wait for it:
 * then only the configuration goes back, and the failover that follows brings the stacks along.
 */
async function goBack(context: StepContext, values: Switch): Promise<void> {
  if (context.lost === undefined) return void (await become(context, values));
  const { ports, call, again } = context;
  if (again) await ports.stacks.unlock(call);
  await ports.stacks.configure(values, call);
}
const down = async (context: StepContext): Promise<void> => {
  const { lost, plan } = context;
  // A site that is lost gets nothing back.
  const epoch = lost === undefined ? await returnEpoch(context) : plan.before.epoch;
  await goBack(context, undoValues(plan, epoch));
};

/** Applications of the site that takes over run already, with what they will work on. */
const stands = async (context: StepContext): Promise<string | undefined> =>
  context.seen &&
  context.step.args['stands'] === true &&
  readyAt(context.seen, context.seen.at, siteOf(context), epochOf(context))
    ? `the applications at ${siteOf(context)} run already, in epoch ${epochOf(context)}`
    : undefined;

const pollMs = 2_000;
const closeSeconds = 10;

/** Until the replica streams, and is close behind. */
async function streams({ ports, call }: StepContext, server: string): Promise<void> {
  for (;;) {
    try {
      const { streaming, lagSeconds } = await ports.databases.read(server, call);
      if (streaming && lagSeconds !== undefined && lagSeconds <= closeSeconds) return;
      call.progress(`${server} ${streaming ? `is ${Math.round(lagSeconds ?? 0)} s behind` : 'does not stream yet'}`);
    } catch (cause) {
      if (!(cause instanceof StandbyError && cause.retryable)) throw cause;
      call.progress(cause.message);
    }
    await ports.clock.sleep(pollMs, call.signal);
    call.signal.throwIfAborted();
  }
}

/** A write by the epoch that is over must be refused by an answer: silence proves nothing. */
async function proveFence(context: StepContext): Promise<Facts> {
  const { ports, call, again, step } = context;
  const [server, epoch] = [serverOf(context), epochOf(context)];
  const earlier = context.stateOf(step.id).facts;
  try {
    if (again) await ports.databases.fence(server, epoch, step.args['whole'] === true, call);
    const { accepted, answer } = await ports.databases.tryWrite(server, epoch, call);
    if (accepted || answer === '') {
      const what = accepted ? 'accepted a write' : 'gave no answer to a write';
      throw new StandbyError('FenceLeaks', `${server} ${what} by epoch ${epoch}: the fence is set again`, {
        retryable: true,
        exit: 'resumable',
      });
    }
    const { position } = await ports.databases.read(server, call);
    return { proved: true, answer, position };
  } catch (cause) {
    // What was proved stays proved when the server is lost afterwards: a fence outlives a restart.
    const silent = cause instanceof StandbyError && cause.code !== 'FenceLeaks';
    if (!silent || earlier?.['proved'] !== true) throw cause;
    call.progress(`${server} does not answer any more: the fence was proved before`);
    return earlier;
  }
}

const lost = (lossSeconds: Json | undefined): Json => lossSeconds ?? 'unknown';

async function recordRecoveryPoint(context: StepContext): Promise<Facts> {
  const { ports, call, step } = context;
  const server = serverOf(context);
  const how = argument(context, 'how', isText);
  const at = ports.clock.now();
  const fenced = context.stateOf('prove-fence').facts?.['position'];
  if (how === 'shared') return { at, server, lossSeconds: 0, ...(fenced === undefined ? {} : { position: fenced }) };
  const { role, position, mayLackSeconds } = await ports.databases.read(server, call);
  if (how === 'restored') return { at, server, position, lossSeconds: lost(step.args['lossSeconds']) };
  if (how === 'forced') {
    return { at, server, position, lossSeconds: role === 'replica' ? lost(mayLackSeconds) : 'unknown' };
  }
  if (role !== 'replica' || typeof fenced !== 'string') {
    throw new StandbyError(
      'PromotedOutOfBand',
      `${server} has left its source before it had every row: nothing was promoted; say standby abort, then look which rows it lacks`,
      { exit: 'person' },
    );
  }
  const { seconds } = await ports.databases.caughtUp(server, fenced, call);
  return { at, server, position: fenced, lossSeconds: 0, waitedSeconds: seconds };
}

async function promote(context: StepContext): Promise<Facts> {
  const { ports, call } = context;
  const server = serverOf(context);
  const how = argument(
    context,
    'how',
    (value): value is 'planned' | 'forced' => value === 'planned' || value === 'forced',
  );
  const position = context.stateOf('record-recovery-point').facts?.['position'];
  if (how === 'forced' || typeof position !== 'string') {
    await ports.databases.promote(server, how, call);
    return { server, how };
  }
  await ports.databases.caughtUp(server, position, call);
  try {
    await ports.databases.promote(server, 'planned', call);
    return { server, how };
  } catch (cause) {
    if (!(cause instanceof StandbyError && cause.code === 'PromotionFailed')) throw cause;
    // A planned promotion asks the source, which may have died since. It is fenced, and all that it ever took is here.
    call.progress(`${cause.message}; every row up to ${position} is here, so it is promoted without its source`);
    await ports.databases.promote(server, 'forced', call);
    return { server, how: 'forced' };
  }
}

async function checkPreviews(context: StepContext): Promise<Facts> {
  const { ports, call, plan, lost } = context;
  // What was lost since the stacks converged must be left alone by a preview too.
  if (lost !== undefined) await become(context, leavingAlone(context, plan.after));
  const previews = Object.entries(await ports.stacks.previews(call));
  const dirty = previews.filter(([, changes]) => changes.length > 0);
  if (dirty.length === 0) return { clean: previews.map(([stack]) => stack) };
  const what = dirty.map(([stack, changes]) => `${stack} would change ${changes.join(', ')}`).join('; ');
  throw new StandbyError(
    'PreviewsNotClean',
    `the business runs, but ${what}: look with pulumi preview, then standby resume`,
    {
      exit: 'person',
    },
  );
}

/** What the announcement and the report tell: the facts of the steps before it. */
const told = ({ plan, stateOf }: StepContext): Facts =>
  Object.fromEntries(plan.steps.flatMap(({ id }) => Object.entries({ [id]: stateOf(id).facts ?? {} })));

export const steps: StepTable = {
  prepare: { run: up, done: stands, undo: down, bothSites: 'again' },
  'lookup-names': { run: ({ ports, call }) => ports.names.lookup(call) },
  reprotect: {
    run: async (context) => {
      const facts = await up(context);
      await streams(context, serverOf(context));
      return facts;
    },
    bothSites: 'again',
    // A server that was made is not removed: it follows, and nobody works on it. What was half made is finished.
    undo: async (context) => {
      if (context.stateOf('reprotect').facts === undefined && context.lost === undefined) await up(context);
    },
  },
  'export-diverged': {
    run: (context) =>
      context.ports.databases.exportDiverged(
        serverOf(context),
        argument(context, 'since', isText),
        argument(context, 'file', isText),
        context.call,
      ),
  },
  restore: { run: up, undo: down, bothSites: 'again' },
  'import-backup': {
    run: (context) => context.ports.databases.importBackups(serverOf(context), backupsOf(context), context.call),
  },
  'fence-workloads': {
    run: (context) => context.ports.workloads.stop(siteOf(context), context.call),
    undo: async (context) =>
      context.ports.workloads.start?.(siteOf(context), argument(context, 'instances', isNumber), context.call),
  },
  'fence-database': {
    run: (context) =>
      context.ports.databases.fence(
        serverOf(context),
        epochOf(context),
        context.step.args['whole'] === true,
        context.call,
      ),
    undo: async (context) => {
      await context.ports.databases.admit(serverOf(context), await returnEpoch(context), context.call);
    },
  },
  'prove-fence': { run: proveFence, renewed: true },
  'take-lease': {
    run: async (context) => {
      const { waitedSeconds, from } = await context.ports.leases.take(siteOf(context), epochOf(context), context.call);
      return { waitedSeconds, ...(from ? { from } : {}) };
    },
    undo: async (context) => {
      const epoch = await returnLease(context);
      if (epoch !== context.plan.before.epoch) await goBack(context, undoValues(context.plan, epoch));
    },
  },
  'record-recovery-point': { run: recordRecoveryPoint },
  promote: {
    run: promote,
    done: async (context) =>
      (await context.ports.databases.read(serverOf(context), context.call)).role === 'primary'
        ? `${serverOf(context)} is a primary already`
        : undefined,
  },
  'open-database': {
    run: async (context) => {
      await context.ports.databases.admit(serverOf(context), epochOf(context), context.call);
      return { server: serverOf(context), epoch: epochOf(context) };
    },
  },
  bind: { run: up, done: stands, bothSites: 'again' },
  'verify-inside': {
    run: (context) => context.ports.verifier.inside(siteOf(context), serverOf(context), epochOf(context), context.call),
  },
  'reroute-internal': {
    run: (context) => context.ports.names.rerouteInternal(siteOf(context), serverOf(context), context.call),
  },
  reroute: {
    run: (context) => {
      const found = context.stateOf('lookup-names').facts ?? {};
      const manyNames = context.plan.wish.manyNames === true;
      return context.ports.names.reroute(siteOf(context), { ...found, manyNames }, context.call);
    },
  },
  'verify-outside': {
    run: (context) => context.ports.verifier.outside(siteOf(context), epochOf(context), context.call),
  },
  converge: { run: up, bothSites: 'first' },
  'check-previews': { run: checkPreviews, bothSites: 'first' },
  announce: {
    run: async (context) => {
      await context.ports.announcer.announce(context.plan, told(context), context.call);
      return {};
    },
  },
};
