/** How a run is taken back that has not passed the point of no return. */
import type { Switch } from '../config/failover';
import { StandbyError } from './errors';
import type { Plan } from './model';
import type { StepContext } from './steps';

type Context = Pick<StepContext, 'plan' | 'ports' | 'call' | 'stateOf'>;

/** The switch that a run leaves behind when it is taken back, in the epoch in which the site that it began at may write again. */
export function undoValues(plan: Plan, epoch: number): Switch {
  const step = plan.steps.find(({ args }) => args['undo'] !== undefined);
  const values = (step?.args['undo'] ?? plan.before) as unknown as Switch;
  return { ...values, epoch: Math.max(values.epoch, epoch) };
}

/**
 * An epoch that has let go of the lease is over for good: the site that began gets the lease back in a new one.
 * @returns the epoch in which it has the lease; the one before the run when nobody had touched it.
 */
export async function returnLease({ plan, ports, call }: Context): Promise<number> {
  const lease = await ports.leases.read(call);
  if (lease.mode === 'off') return plan.before.epoch;
  const latest = lease.epoch ?? plan.before.epoch;
  if (lease.holder === plan.from && !lease.released) return latest;
  const epoch = Math.max(latest, plan.before.epoch) + 1;
  await ports.leases.take(plan.from, epoch, call);
  return epoch;
}

/** @returns the epoch in which the site that the run began at may write again. */
export async function returnEpoch({ plan, ports, call, stateOf }: Context): Promise<number> {
  if (stateOf('take-lease').state === 'waiting') return plan.before.epoch;
  const lease = await ports.leases.read(call);
  if (lease.mode === 'off') return plan.before.epoch;
  if (lease.holder === plan.from && !lease.released && lease.epoch !== undefined) return lease.epoch;
  throw new StandbyError('LeaseNotHeld', `${plan.from} does not have the lease back: say standby abort again`, {
    exit: 'resumable',
  });
}
