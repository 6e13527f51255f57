/** Every host of the drill, asked at INTG's ingress. */
import { drillEpoch, type DrillOutput } from '../../config/drill';
import { apps, hostNames, type HostName } from '../../config/fields';
import { failed, passed, unknown, type Check } from '../../failover/drill';
import type { Answer } from '../http';
import { ask } from './front';

/** @returns one check for the hosts, one for the release that they say. */
export async function checkHosts(drill: DrillOutput, release: string, signal: AbortSignal): Promise<Check[]> {
  const asked = await Promise.all(hostNames.map(async (name) => [name, await answerOf(drill, name, signal)] as const));
  const answers = Object.fromEntries(asked) as Record<HostName, Answer | string>;
  return [hostsCheck(drill, answers), releaseCheck(release, answers)];
}

async function answerOf(drill: DrillOutput, name: HostName, signal: AbortSignal): Promise<Answer | string> {
  const path = name === 'idp' ? `/realms/${drill.identity.realm}/.well-known/openid-configuration` : '/';
  try {
    return await ask(`https://${drill.hosts[name]}${path}`, {}, signal, drill.ingressAddress);
  } catch (cause) {
    return (cause as Error).message;
  }
}

function hostsCheck(drill: DrillOutput, answers: Readonly<Record<HostName, Answer | string>>): Check {
  const name = "every host through INTG's ingress";
  const wrong = hostNames.flatMap((host) => {
    const answer = answers[host];
    if (typeof answer === 'string') return [answer];
    return answer.status < 400 ? [] : [`${drill.hosts[host]} answers ${answer.status}`];
  });
  if (wrong.length > 0) return failed(name, wrong.join('; '));
  return passed(name, `${hostNames.length} hosts at ${drill.ingressAddress}`);
}

/** Applications say in a header what they are; one that does not is not known to be the release. */
function releaseCheck(release: string, answers: Readonly<Record<HostName, Answer | string>>): Check {
  const name = 'production release';
  const said = apps.map((app) => {
    const answer = answers[app];
    const { 'x-release': theirs, 'x-epoch': epoch } = typeof answer === 'string' ? {} : answer.headers;
    return { app, release: theirs, epoch };
  });
  const wrong = said.filter((one) => one.release !== undefined && one.release !== release);
  if (wrong.length > 0) return failed(name, wrong.map((one) => `${one.app} is ${String(one.release)}`).join('; '));
  const others = said.filter(({ epoch }) => epoch !== undefined && epoch !== String(drillEpoch));
  if (others.length > 0) return failed(name, `${others.map(({ app }) => app).join(', ')} are not the drill's own`);
  const silent = said.filter((one) => one.release === undefined).map(({ app }) => app);
  if (silent.length > 0) return unknown(name, `${silent.join(', ')} send no header x-release`);
  return passed(name, release);
}
