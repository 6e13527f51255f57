/** What a drill needs of Azure and of INTG's cluster beside Pulumi: to look at firewalls, and to remove what no state knows. */
import { setTimeout as sleep } from 'node:timers/promises';
import { drillGroup, drillNamespace } from '../../config/drill';
import { StandbyError } from '../../failover/errors';
import type { Call } from '../../failover/ports';
import { apiVersions, cloudOf, type Order } from '../azure/cloud';
import type { AdapterContext } from '../context';
import { exchange } from '../http';
import { accessOf, type Access } from '../kubernetes/kubeconfig';
import { serverPlace } from '../places';
import { within } from '../../failover/within';

const groupVersion = '2021-04-01';
const pollMs = 1_000;
const sweepMs = 15 * 60_000;
const answerMs = 5_000;

interface Rule {
  readonly properties: { readonly startIpAddress: string; readonly endIpAddress: string };
}

/** @returns the addresses that a production server's firewall lets in, each as `FIRST-LAST`. */
export async function firewallOf(context: AdapterContext, server: string, signal: AbortSignal): Promise<string[]> {
  const path = `${serverPlace(context, server).id}/firewallRules`;
  const order: Order = { path, apiVersion: apiVersions.postgresql, signal };
  const { body } = await cloudOf(context).ask<{ readonly value: readonly Rule[] }>(order);
  return body.value.map(({ properties }) => `${properties.startIpAddress}-${properties.endIpAddress}`).sort();
}

/** Removes the drill's namespace and resource group, if they are there, with all that is in them. Idempotent. */
export async function sweep(context: AdapterContext, call: Call): Promise<void> {
  const signal = within(sweepMs, call.signal);
  const { company } = context.configuration();
  await Promise.all([
    removeNamespace(context, drillNamespace(company), { ...call, signal }),
    removeGroup(context, drillGroup(company), { ...call, signal }),
  ]);
}

type Tags = Readonly<Record<string, string>> | undefined;

/** What a drill did not make is not a drill's to remove. @throws StandbyError NotADrill */
function refuseStranger(what: string, tags: Tags): void {
  if (tags?.['standby-purpose'] === 'drill') return;
  throw new StandbyError(
    'NotADrill',
    `${what} is there, and does not carry standby-purpose: drill: no drill made it; look at it, and remove or rename it by hand`,
    { exit: 'person' },
  );
}

async function removeGroup(context: AdapterContext, name: string, { signal, progress }: Call): Promise<void> {
  const cloud = cloudOf(context);
  const [, , subscription = ''] = context.landscape.sites.intg.resourceGroup.id.split('/');
  const order: Order = {
    path: `/subscriptions/${subscription}/resourceGroups/${name}`,
    apiVersion: groupVersion,
    signal,
  };
  // The list is asked, because a group that is not there is no fault.
  const find = async () => {
    const path = `/subscriptions/${subscription}/resourceGroups`;
    const { body } = await cloud.ask<{ readonly value: readonly { readonly name: string; readonly tags?: Tags }[] }>({
      ...order,
      path,
    });
    return body.value.find((group) => group.name.toLowerCase() === name.toLowerCase());
  };
  const found = await find();
  if (!found) return;
  refuseStranger(`resource group ${name}`, found.tags);
  progress(`removes what is left in resource group ${name}`);
  await cloud.ask({ ...order, method: 'DELETE', withinMs: 30_000 });
  while (await find()) await sleep(pollMs, undefined, { signal });
}

interface Namespace {
  readonly metadata?: { readonly labels?: Tags };
}

async function removeNamespace(context: AdapterContext, name: string, { signal, progress }: Call): Promise<void> {
  const access = await accessTo(context, signal);
  const found = await namespace(access, 'GET', name, signal);
  if (!found) return;
  refuseStranger(`namespace ${name}`, found.metadata?.labels);
  progress(`removes namespace ${name}`);
  await namespace(access, 'DELETE', name, signal);
  while (await namespace(access, 'GET', name, signal)) await sleep(pollMs, undefined, { signal });
}

/** @returns undefined when there is none. @throws StandbyError ClusterRefused */
async function namespace(
  { server, agent, headers }: Access,
  method: 'GET' | 'DELETE',
  name: string,
  signal: AbortSignal,
): Promise<Namespace | undefined> {
  const url = `${server}/api/v1/namespaces/${name}`;
  const { status, text } = await exchange(url, { method, agent, signal, headers, withinMs: answerMs });
  if (status === 404) return undefined;
  if (status < 400) return JSON.parse(text) as Namespace;
  throw new StandbyError('ClusterRefused', `INTG's cluster refuses ${method} of namespace ${name} with ${status}`, {
    exit: 'resumable',
  });
}

async function accessTo(context: AdapterContext, signal: AbortSignal): Promise<Access> {
  const { cluster } = context.landscape.sites.intg;
  const { body } = await cloudOf(context).ask<{ readonly kubeconfigs?: readonly { readonly value: string }[] }>({
    method: 'POST',
    path: `${cluster.id}/listClusterUserCredential`,
    apiVersion: apiVersions.containerService,
    signal,
  });
  const [first] = body.kubeconfigs ?? [];
  if (!first) throw new StandbyError('ClusterUnreachable', `Azure has no credentials for cluster ${cluster.name}`);
  return accessOf(Buffer.from(first.value, 'base64').toString('utf8'), signal);
}
