/** Data set `names`: the public zone's records and rules at Cloudflare, and the sites' private zones at Azure. */
import { z } from 'zod';
import { keptResource, parseResources, resourceChanges, type KeptResource } from '../../../backup/estate/resources';
import type { Difference, EstateFile, EstateSet } from '../../../backup/estate/set';
import {
  isOwn,
  keptRecords,
  keptRuleset,
  parseRulesets,
  recordChanges,
  recordsIn,
  rulesetChanges,
  type Batch,
} from '../../../backup/estate/zone';
import type { Call } from '../../../backup/ports';
import { apps, sites, type Site } from '../../../config/fields';
import { apiVersions, cloudOf } from '../../azure/cloud';
import type { AdapterContext } from '../../context';
import { cloudflare, cloudflareText, recordsOf, zoneId } from '../../names/cloudflare';
import { editState, withRecordIds } from '../../pulumi/edit';
import { groupOf, keptOf, orNothing, putBack, readOne } from './azure';
import { jsonFile, readJsonFile, textFile } from './files';

/** Largest batch that every plan of the vendor takes. */
const changesAtOnce = 200;
const apiVersion = apiVersions.privateDns;

const fileNames = (zone: string) => ({
  bind: `cloudflare/${zone}.zone`,
  records: `cloudflare/${zone}.records.json`,
  rulesets: `cloudflare/${zone}.rulesets.json`,
});
const privateFile = (site: Site) => `azure/${site}.zone.json`;

/** Tells the failover stack's state what the ids of records are now. @returns whether it had other ones. */
type Learn = (context: AdapterContext, call: Call) => Promise<boolean>;

export const namesSet = (context: AdapterContext, learn: Learn = learnRecords): EstateSet => ({
  dataSet: 'names',
  tool: 'Cloudflare API v4, Azure Resource Manager',
  collect: (call) => collect(context, call),
  compare: async (files, call) => (await changes(context, files, call)).flatMap(({ differences }) => differences),
  restore: (files, call) => restore(context, files, learn, call),
});

async function collect(context: AdapterContext, call: Call): Promise<readonly EstateFile[]> {
  const { zone } = context.configuration();
  const names = fileNames(zone);
  const { signal } = call;
  call.progress(`zone ${zone}`);
  const id = await zoneId(context, zone, signal);
  const [bind, records, rulesets] = await Promise.all([
    cloudflareText(context, { path: `/zones/${id}/dns_records/export`, signal }),
    recordsOf(context, id, signal),
    rulesetsOf(context, id, signal),
  ]);
  const zones = await Promise.all(
    sites.map(async (site) => jsonFile(privateFile(site), await privateZone(context, site, call))),
  );
  return [
    textFile(names.bind, bind),
    jsonFile(names.records, keptRecords(records)),
    jsonFile(names.rulesets, rulesets),
    ...zones,
  ];
}

/** A list shows no rules: each ruleset is asked for. */
async function rulesetsOf(context: AdapterContext, id: string, signal: AbortSignal) {
  const path = `/zones/${id}/rulesets`;
  const { result } = await cloudflare<readonly { readonly id: string }[]>(context, { path, signal });
  const own = await Promise.all(
    result.filter(isOwn).map(async ({ id: ruleset }) => {
      const { result: answer } = await cloudflare<unknown>(context, { path: `${path}/${ruleset}`, signal });
      return keptRuleset(answer);
    }),
  );
  return own.sort((one, other) => (one.phase < other.phase ? -1 : 1));
}

function zonePath({ landscape }: AdapterContext, site: Site): string {
  const { internalZone, globalResourceGroup, resourceGroup } = landscape.sites[site];
  const subscription = resourceGroup.id.split('/')[2];
  return `/subscriptions/${subscription}/resourceGroups/${globalResourceGroup}/providers/Microsoft.Network/privateDnsZones/${internalZone}`;
}

/** The group, the zone, its records, who sees it: the order in which they can be made. */
async function privateZone(context: AdapterContext, site: Site, { signal, progress }: Call): Promise<KeptResource[]> {
  const cloud = cloudOf(context);
  const path = zonePath(context, site);
  progress(`zone ${path.split('/').at(-1)}`);
  const zone = await readOne(cloud, path, apiVersion, signal);
  const group = await groupOf(cloud, path, signal);
  if (!zone) return [...group];
  const [records, links] = await Promise.all([
    orNothing(keptOf(cloud, `${path}/ALL`, apiVersion, signal)),
    orNothing(keptOf(cloud, `${path}/virtualNetworkLinks`, apiVersion, signal)),
  ]);
  // The vendor makes the SOA with the zone.
  const own = records.filter(({ id }) => !/\/SOA\/@$/i.test(id));
  return [...group, keptResource(zone, apiVersion), ...own, ...links];
}

/** Records that say where the business is: the failover stack writes them. */
const moving = new RegExp(`/(A|CNAME)/(${[...apps, 'db', 'idp'].join('|')})$`, 'i');

interface Changes {
  readonly differences: readonly Difference[];
  readonly make: () => Promise<unknown>;
  readonly done: string;
  readonly count: number;
}

async function changes(context: AdapterContext, files: readonly EstateFile[], call: Call): Promise<Changes[]> {
  const { zone, hosts, activeSite } = context.configuration();
  const { signal } = call;
  const names = fileNames(zone);
  const kept = readJsonFile(files, names.records, (value) => recordsIn(z.array(z.unknown()).parse(value)));
  const keptRules = readJsonFile(files, names.rulesets, parseRulesets);
  const id = await zoneId(context, zone, signal);
  const [records, rulesets] = await Promise.all([recordsOf(context, id, signal), rulesetsOf(context, id, signal)]);
  const { batch, differences } = recordChanges(kept, recordsIn(records), {
    hosts: Object.values(hosts),
    address: context.landscape.sites[activeSite].network.ingressAddress,
  });
  const rules = rulesetChanges(keptRules, rulesets);
  const zones = await Promise.all(sites.map((site) => privateChanges(context, files, site, call)));
  return [
    {
      differences,
      make: () => sendBatch(context, id, batch, signal),
      done: `records of ${zone} changed`,
      count: batch.deletes.length + batch.patches.length + batch.posts.length,
    },
    {
      differences: rules.differences,
      make: async () => {
        for (const { phase, ...body } of rules.puts)
          await cloudflare(context, {
            ...{ method: 'PUT', path: `/zones/${id}/rulesets/phases/${phase}/entrypoint`, signal },
            body,
          });
      },
      done: `phases of ${zone} put`,
      count: rules.puts.length,
    },
    ...zones,
  ];
}

/** One call, all of it or nothing, unless there is more than the vendor takes in one. */
async function sendBatch(context: AdapterContext, id: string, batch: Batch, signal: AbortSignal): Promise<void> {
  const { deletes, patches, posts } = batch;
  const path = `/zones/${id}/dns_records/batch`;
  const all = [
    ...deletes.map((change) => ['deletes', change] as const),
    ...patches.map((change) => ['patches', change] as const),
    ...posts.map((change) => ['posts', change] as const),
  ];
  for (let at = 0; at < all.length; at += changesAtOnce) {
    const body: Record<string, object[]> = {};
    for (const [kind, change] of all.slice(at, at + changesAtOnce)) (body[kind] ??= []).push(change);
    await cloudflare(context, { method: 'POST', path, body, signal });
  }
}

async function privateChanges(
  context: AdapterContext,
  files: readonly EstateFile[],
  site: Site,
  call: Call,
): Promise<Changes> {
  const kept = readJsonFile(files, privateFile(site), parseResources);
  const { puts, differences } = resourceChanges(kept, await privateZone(context, site, call), ({ id }) =>
    moving.test(id),
  );
  return {
    differences,
    make: async () => {
      for (const resource of puts) await putBack(cloudOf(context), resource, call.signal);
    },
    done: `resources of ${context.landscape.sites[site].internalZone} put`,
    count: puts.length,
  };
}

async function restore(
  context: AdapterContext,
  files: readonly EstateFile[],
  learn: Learn,
  call: Call,
): Promise<readonly string[]> {
  const all = (await changes(context, files, call)).filter(({ count }) => count > 0);
  const done: string[] = [];
  for (const { make, done: what, count } of all) {
    await make();
    call.progress(`${count} ${what}`);
    done.push(`${count} ${what}`);
  }
  if (await learn(context, call)) done.push('the failover stack’s state knows records that were made anew');
  return done;
}

/** Records of hosts are the failover stack's: without their new ids its next update would fail. */
async function learnRecords(context: AdapterContext, call: Call): Promise<boolean> {
  const records = await recordsOf(
    context,
    await zoneId(context, context.configuration().zone, call.signal),
    call.signal,
  );
  return editState(context.environment, 'failover', (state) => withRecordIds(state, records), call);
}
