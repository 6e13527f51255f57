/** A stack's state, changed by hand: out of the backend and back into it, its secrets encrypted all the way. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { Call } from '../../failover/ports';
import { redactor } from '../redact';
import { pulumi, type Environment, type Stack } from './command';
import { pulumiFailed } from './fault';

export interface Resource {
  readonly urn: string;
  readonly type?: string;
  readonly id?: string | undefined;
  readonly outputs?: Readonly<Record<string, unknown>>;
}
export interface State {
  readonly deployment: {
    readonly resources?: readonly Resource[];
    readonly pending_operations?: readonly { readonly type: string; readonly resource: Resource }[];
  };
}

/** Runs one command of the stack. @returns standard output. @throws StandbyError PulumiFailed */
export async function onStack(
  environment: Environment,
  stack: Stack,
  args: readonly string[],
  { signal }: Pick<Call, 'signal'>,
): Promise<string> {
  const { code, stdout, stderr } = await pulumi(environment, [...args, '--stack', stack], { signal });
  if (code === 0) return stdout;
  throw pulumiFailed(`pulumi ${args[0]} --stack ${stack}`, redactor({ environment })(stderr || stdout));
}

/** @param edit - gives the new state, or nothing where the old one is right. @returns whether anything was changed. */
export async function editState(
  environment: Environment,
  stack: Stack,
  edit: (state: State) => State | undefined,
  call: Call,
): Promise<boolean> {
  const state = edit(JSON.parse(await onStack(environment, stack, ['stack', 'export'], call)) as State);
  if (!state) return false;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-state-'));
  try {
    const file = path.join(folder, 'state.json');
    fs.writeFileSync(file, JSON.stringify(state), { mode: 0o600 });
    await onStack(environment, stack, ['stack', 'import', '--file', file], call);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
  return true;
}

const recordType = 'cloudflare:index/dnsRecord:DnsRecord';

/**
 * A record that was made anew has another id, and an update would ask for the one that is gone.
 * @param records - all of the zone.
 * @returns the state that knows the new ids; undefined where every id is there.
 */
export function withRecordIds(
  state: State,
  records: readonly { readonly id: string; readonly name: string; readonly type: string }[],
): State | undefined {
  const there = new Set(records.map(({ id }) => id));
  let changed = false;
  const resources = (state.deployment.resources ?? []).map((resource) => {
    const { id, type, outputs } = resource;
    if (type !== recordType || id === undefined || there.has(id)) return resource;
    const now = records.find((one) => one.name === outputs?.['name'] && one.type === outputs['type']);
    if (!now) return resource;
    changed = true;
    return { ...resource, id: now.id };
  });
  return changed ? { ...state, deployment: { ...state.deployment, resources } } : undefined;
}
