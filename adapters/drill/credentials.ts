/** Who is let in where: nothing of the drill at production, nothing of production at the drill. */
import { epochPassword, epochRole } from '../../config/credentials';
import { drillEpoch, type DrillOutput } from '../../config/drill';
import { failed, passed, unknown, type Check } from '../../failover/drill';
import { connected, sqlState, type ServerTarget } from '../postgres/connection';
import { copyTarget } from './copy';

/** Login refused, or no such role. */
const refusedLogin = /^28/;

interface Attempt {
  readonly where: string;
  readonly who: string;
  readonly target: ServerTarget;
}

async function outcomeOf({ where, who, target }: Attempt, signal: AbortSignal): Promise<Check> {
  const subject = `${who} at ${where}`;
  try {
    await connected(target, signal, (client) => client.query('SELECT 1'));
    return failed(subject, `${subject} is let in`);
  } catch (cause) {
    const state = sqlState(cause);
    if (refusedLogin.test(state ?? '')) return passed(subject, subject);
    return unknown(subject, `${subject}: ${(cause as Error).message}`);
  }
}

async function all(name: string, attempts: readonly Attempt[], signal: AbortSignal): Promise<Check> {
  const checks = await Promise.all(attempts.map((attempt) => outcomeOf(attempt, signal)));
  for (const outcome of ['failed', 'unknown'] as const) {
    const found = checks.filter((check) => check.outcome === outcome);
    if (found.length > 0) return { name, outcome, detail: found.map(({ detail }) => detail).join('; ') };
  }
  return passed(name, `refused: ${checks.map(({ detail }) => detail).join(', ')}`);
}

/**
 * From here, where the servers' firewalls let operators in: what refuses is the password, not the network.
 * @param production - administrator of each production server, by name.
 */
export async function checkCredentials(
  drill: DrillOutput,
  company: string,
  production: Readonly<Record<string, ServerTarget>>,
  epoch: number,
  signal: AbortSignal,
): Promise<Check[]> {
  const { user, password } = drill.server;
  const own = { user: epochRole(company, drillEpoch), password: epochPassword(password, drillEpoch) };
  const there = Object.entries(production).flatMap(([where, target]): Attempt[] => [
    { where, who: "the drill's administrator", target: { ...target, user, password } },
    { where, who: own.user, target: { ...target, ...own } },
  ]);
  const [first] = Object.values(production);
  const secret = first?.password ?? '';
  const role = { user: epochRole(company, epoch), password: epochPassword(secret, epoch) };
  const copy = copyTarget(drill, company);
  const here: Attempt[] = [
    { where: 'the copy', who: "production's administrator", target: { ...copy, password: secret } },
    { where: 'the copy', who: role.user, target: { ...copy, ...role } },
  ];
  return Promise.all([
    all("production refuses the drill's credentials", there, signal),
    all("the copy refuses production's credentials", here, signal),
  ]);
}
