/** How far each stack's state is, and whether an update is under way or was cut off. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { parse } from 'yaml';
import type { Observation, Reading, StackReading } from '../../failover/model';
import { redactor } from '../redact';
import { projectFolder, pulumi, type Environment, type Stack } from './command';
import { firstLine } from './fault';
import { serialOf, stateReader, type Deployment } from './state';
import { within } from '../../failover/within';

export const stacks = ['prod', 'intg', 'failover'] as const;
const limitMs = 4_000;

/** Name of the project, by which the state is filed. */
export function projectName(environment: Environment): string {
  try {
    const file = path.join(projectFolder(environment), 'Pulumi.yaml');
    return (parse(fs.readFileSync(file, 'utf8')) as { name?: string }).name ?? 'standby';
  } catch {
    return 'standby';
  }
}

async function byPulumi(environment: Environment, stack: Stack, signal: AbortSignal): Promise<StackReading> {
  const { code, stdout, stderr } = await pulumi(environment, ['stack', 'export', '--stack', stack], {
    signal,
    timeoutMs: limitMs,
  });
  if (code !== 0) throw new Error(firstLine(stderr));
  const { deployment = {} } = JSON.parse(stdout) as { deployment?: Deployment };
  return { serial: serialOf(deployment), pending: (deployment.pending_operations?.length ?? 0) > 0 };
}

/** Within 4 s, whatever does not answer. A running update is seen where the state's locks can be listed. */
export async function readStacks(environment: Environment, signal?: AbortSignal): Promise<Observation['stacks']> {
  const limit = within(limitMs, ...(signal ? [signal] : []));
  const clean = redactor({ environment });
  const reader = stateReader(environment, projectName(environment), limitMs);
  const one = async (stack: Stack): Promise<Reading<StackReading>> => {
    try {
      const direct = await reader;
      if (!direct) return { at: Date.now(), value: await byPulumi(environment, stack, limit) };
      const { serial, pendingOperations, locks } = await direct.read(stack, limit);
      return { at: Date.now(), value: { serial, pending: pendingOperations > 0 || locks.length > 0 } };
    } catch (cause) {
      const { message, statusCode } = cause as Error & { statusCode?: number };
      const why = limit.aborted
        ? `no answer within ${limitMs / 1000} s`
        : statusCode === 404
          ? `there is no stack ${stack}: pulumi stack init ${stack}`
          : clean(message.split('\n')[0] ?? '');
      return { at: Date.now(), unknown: why };
    }
  };
  const [prod, intg, failover] = await Promise.all(stacks.map(one));
  return { prod: prod!, intg: intg!, failover: failover! };
}
