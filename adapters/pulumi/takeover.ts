/**
 * An update that was cut off leaves the stack's lock, and resources that were being made when it ended. The lock is taken over
 * when whoever holds it is provably gone; such a resource is taken into the state when the vendor says that it is there.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import * as os from 'node:os';
import { StandbyError } from '../../failover/errors';
import type { Call } from '../../failover/ports';
import { existedAt } from '../lock/processes';
import { pulumi, type Environment, type Stack } from './command';
import { editState, onStack, type State } from './edit';
import type { Failing } from './events';
import { firstLine, pulumiFailed } from './fault';
import type { LockHolder } from './state';

const lockLine = /created by (.+)@(\S+) \(pid (\d+)\) at (\S+)/;

/** @returns the holders that Pulumi names when it refuses a locked stack. */
export const holdersIn = (text: string): LockHolder[] =>
  text.split('\n').flatMap((line) => {
    const [, user, host, pid, at] = lockLine.exec(line) ?? [];
    return user && host ? [{ user, host, pid: Number(pid), since: Date.parse(at ?? '') }] : [];
  });

export const isLocked = (text: string): boolean => text.includes('the stack is currently locked by');

/** @param goneHosts - machines whose run was taken over: what they ran has ended with it. */
type Gone = (host: string) => boolean;

const here = ({ host }: LockHolder) => host === os.hostname();
const runsHere = (holder: LockHolder) => here(holder) && existedAt(holder.pid, holder.since);
const pollMs = 200;

/**
 * Waits for holders that run on this machine, and gives up the locks of those that are gone.
 * @throws StandbyError StackLocked when somebody on another machine may still be at work.
 */
export async function freeLock(
  environment: Environment,
  stack: string,
  holders: readonly LockHolder[],
  isGone: Gone,
  call: Call,
): Promise<void> {
  for (const holder of holders.filter(runsHere)) {
    call.progress(`waits for the update of ${stack} that process ${holder.pid} runs`);
    while (runsHere(holder)) await sleep(pollMs, undefined, { signal: call.signal });
  }
  const elsewhere = holders.filter((holder) => !here(holder) && !isGone(holder.host));
  for (const { user, host, pid, since } of elsewhere) {
    const who = `${user}@${host} (process ${pid}, since ${new Date(since).toISOString()})`;
    throw new StandbyError(
      'StackLocked',
      `stack ${stack} is locked by ${who}: wait until that ends; if it is dead, \`pulumi cancel --stack ${stack}\`, then \`standby resume\``,
      { exit: 'person', retryable: true },
    );
  }
  // One that ended well took its own lock with it; cancelling what isn't there does no harm.
  if (holders.length === 0) return;
  call.progress(`gives up the lock that a dead process left on ${stack}`);
  const { code, stderr } = await pulumi(environment, ['cancel', '--yes', '--stack', stack], { signal: call.signal });
  if (code !== 0) throw pulumiFailed(`pulumi cancel --stack ${stack}`, firstLine(stderr), 'person');
}

const alreadyThere = /(?:cannot create already existing resource|already exists)[^']*'([^']+)'/;

/** @returns what was made by an update that was cut off: address and the vendor's id. */
export const madeBefore = (errors: readonly Failing[]): ReadonlyMap<string, string> =>
  new Map(
    errors.flatMap(({ urn, message }): [string, string][] => {
      const id = alreadyThere.exec(message)?.[1];
      return urn && id?.startsWith('/') ? [[urn, id]] : [];
    }),
  );

/** @returns the state with what was half made in it, and the addresses of that. */
function withMade(state: State, made: ReadonlyMap<string, string>): { readonly state: State; readonly urns: string[] } {
  const { resources = [], pending_operations: pending = [] } = state.deployment;
  const there = new Set(resources.map(({ urn }) => urn));
  const taken = pending.filter(
    ({ type, resource: { urn } }) => type === 'creating' && made.has(urn) && !there.has(urn),
  );
  const urns = taken.map(({ resource }) => resource.urn);
  const adopted = taken.map(({ resource }) => ({ ...resource, id: made.get(resource.urn) }));
  const left = pending.filter(({ resource }) => !urns.includes(resource.urn));
  const deployment = { ...state.deployment, resources: [...resources, ...adopted], pending_operations: left };
  return { state: { ...state, deployment }, urns };
}

/**
 * Takes into the state what was being made when an update was cut off, and reads what became of it. (`pulumi refresh
 * --import-pending-creates` of this engine drops such resources.) @returns how many.
 */
export async function adopt(
  environment: Environment,
  stack: Stack,
  made: ReadonlyMap<string, string>,
  call: Call,
): Promise<number> {
  let urns: readonly string[] = [];
  const take = (state: State) => {
    const taken = withMade(state, made);
    urns = taken.urns;
    if (urns.length === 0) return undefined;
    call.progress(`takes over ${urns.length} resources that an update was making when it was cut off`);
    return taken.state;
  };
  if (!(await editState(environment, stack, take, call))) return 0;
  // Nothing else is looked at: what can't be reached must not be waited for.
  const targets = urns.flatMap((urn) => ['--target', urn]);
  await onStack(environment, stack, ['refresh', '--yes', '--skip-preview', '--run-program=false', ...targets], call);
  return urns.length;
}
