/** Processes of the world that stand still, as those of a paused machine do: they hold their connections and do nothing. */
import { SandboxError } from '../error';
import { freeze, list } from '../process';

const holds = (part: string) => (name: string) =>
  name === part || name.startsWith(part.endsWith('/') ? part : `${part}/`);

/**
 * @param part name of a process (`standby sandbox status`), or the beginning of several up to a slash or a hyphen:
 * `pod/prod/moodtalk/standby-agent` is every pod of that Deployment.
 * @returns the names of what was frozen, or woken.
 * @throws SandboxError when there is none.
 */
export function setFrozen(part: string, frozen: boolean): readonly string[] {
  const matches = (name: string) => holds(part)(name) || name.startsWith(`${part}-`);
  const names = list().map(({ name }) => name);
  const found = names.filter(matches);
  if (found.length === 0) {
    throw new SandboxError('UnknownPart', `part "${part}" is not known; allowed: ${names.join(', ')}`);
  }
  freeze((record) => matches(record.name), frozen);
  return found;
}
