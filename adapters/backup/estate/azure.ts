/** Resources of Azure read and put back one by one: lists with all their pages, and a PUT that has ended when it returns. */
import { keptResource, type KeptResource } from '../../../backup/estate/resources';
import { StandbyError } from '../../../failover/errors';
import { apiVersions, type Cloud } from '../../azure/cloud';
import { until } from '../../patience';

const madeWithinMs = 120_000;
const lookEveryMs = 500;

interface Page {
  readonly value?: readonly unknown[];
  readonly nextLink?: string;
}

/** @returns all of a list. */
export async function listAll(
  cloud: Cloud,
  path: string,
  apiVersion: string,
  signal: AbortSignal,
): Promise<readonly unknown[]> {
  const { body } = await cloud.ask<Page>({ path, apiVersion, signal });
  const all = [...(body.value ?? [])];
  for (let next = body.nextLink; next;) {
    const page = (await cloud.follow(next, signal)) as Page;
    if (!page.value) {
      throw new StandbyError('AzureListBroken', `Azure does not go on with its list of ${path.split('/').at(-1)}`, {
        retryable: true,
      });
    }
    all.push(...page.value);
    next = page.nextLink;
  }
  return all;
}

export const keptOf = async (cloud: Cloud, path: string, apiVersion: string, signal: AbortSignal) =>
  (await listAll(cloud, path, apiVersion, signal)).map((answer) => keptResource(answer, apiVersion));

/** @returns the group that resources are in: it is made before them. Nothing where there is none. */
export async function groupOf(cloud: Cloud, id: string, signal: AbortSignal): Promise<readonly KeptResource[]> {
  const [group = ''] = /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+/i.exec(id) ?? [];
  const there = await readOne(cloud, group, apiVersions.resources, signal);
  return there ? [keptResource(there, apiVersions.resources)] : [];
}

/** @returns what is there, or undefined where it is not. */
export async function readOne(
  cloud: Cloud,
  id: string,
  apiVersion: string,
  signal: AbortSignal,
): Promise<object | undefined> {
  try {
    return (await cloud.ask<object>({ path: id, apiVersion, signal })).body;
  } catch (cause) {
    if (isAbsent(cause)) return undefined;
    throw cause;
  }
}

/** Azure's answer that something, or the group it would be in, does not exist. */
export const isAbsent = (cause: unknown): boolean =>
  cause instanceof StandbyError && cause.code === 'AzureRefused' && / with 404\b/.test(cause.message);

export const orNothing = <T>(act: Promise<readonly T[]>): Promise<readonly T[]> =>
  act.catch((cause: unknown) => {
    if (isAbsent(cause)) return [];
    throw cause;
  });

/** Returns when Azure has made it. @throws StandbyError AzureRefused, RestoreFailed, RestoreLate. */
export async function putBack(
  cloud: Cloud,
  { id, apiVersion, body }: KeptResource,
  signal: AbortSignal,
): Promise<void> {
  await cloud.ask({ method: 'PUT', path: id, apiVersion, body, signal });
  const short = id.split('/').slice(-2).join('/');
  await until(
    { signal, everyMs: lookEveryMs, limitMs: madeWithinMs },
    async () => {
      const now = (await readOne(cloud, id, apiVersion, signal)) as { properties?: { provisioningState?: string } };
      const state = now?.properties?.provisioningState;
      if (state === 'Failed' || state === 'Canceled') {
        throw new StandbyError('RestoreFailed', `Azure has not made ${short}: it is ${state}`, { exit: 'resumable' });
      }
      return now && (state === undefined || state === 'Succeeded') ? true : undefined;
    },
    () =>
      new StandbyError('RestoreLate', `Azure has not made ${short} within ${madeWithinMs / 1000} s: run it again`, {
        exit: 'resumable',
      }),
  );
}
