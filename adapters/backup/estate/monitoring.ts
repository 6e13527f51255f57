/** Data set `monitoring`: both sites' groups, workspaces, the people who are told, the alerts, and what sends its logs where. */
import { parseResources, resourceChanges, type KeptResource } from '../../../backup/estate/resources';
import type { EstateFile, EstateSet } from '../../../backup/estate/set';
import type { Call } from '../../../backup/ports';
import { sites, type Site } from '../../../config/fields';
import { apiVersions, cloudOf } from '../../azure/cloud';
import type { AdapterContext } from '../../context';
import { groupOf, keptOf, listAll, orNothing, putBack } from './azure';
import { jsonFile, readJsonFile } from './files';

const fileName = (site: Site) => `${site}.json`;

/** In the order in which they can be made: an alert names its people, a setting its workspace. */
const kinds = [
  ['Microsoft.OperationalInsights/workspaces', apiVersions.workspaces],
  ['Microsoft.Insights/actionGroups', apiVersions.actionGroups],
  ['Microsoft.Insights/metricAlerts', apiVersions.metricAlerts],
] as const;

/** Whose logs are kept. A setting is a part of the resource that it belongs to. */
const sources =
  /^Microsoft\.(DBforPostgreSQL\/flexibleServers|Sql\/servers\/databases|ContainerService\/managedClusters|App\/managedEnvironments)$/i;

export const monitoringSet = (context: AdapterContext): EstateSet => ({
  dataSet: 'monitoring',
  tool: 'Azure Resource Manager',
  collect: (call) =>
    Promise.all(sites.map(async (site) => jsonFile(fileName(site), await monitoringOf(context, site, call)))),
  compare: async (files, call) => (await changes(context, files, call)).flatMap(({ differences }) => differences),
  restore: (files, call) => restore(context, files, call),
});

async function monitoringOf({ environment, landscape }: AdapterContext, site: Site, call: Call) {
  const cloud = cloudOf({ environment });
  const { signal, progress } = call;
  const group = landscape.sites[site].resourceGroup.id;
  progress(`monitoring of ${site}`);
  const lists = await Promise.all(
    kinds.map(([type, version]) => orNothing(keptOf(cloud, `${group}/providers/${type}`, version, signal))),
  );
  const resources = await orNothing(listAll(cloud, `${group}/resources`, apiVersions.resources, signal));
  const scopes = (resources as readonly { readonly id: string; readonly type: string }[])
    .filter(({ type }) => sources.test(type))
    .map(({ id }) => id);
  const settings = await Promise.all(
    scopes.map((scope) =>
      orNothing(
        keptOf(
          cloud,
          `${scope}/providers/Microsoft.Insights/diagnosticSettings`,
          apiVersions.diagnosticSettings,
          signal,
        ),
      ),
    ),
  );
  const byId = (one: KeptResource, other: KeptResource) => (one.id < other.id ? -1 : 1);
  return [await groupOf(cloud, group, signal), ...lists, settings.flat()].flatMap((list) => [...list].sort(byId));
}

const changes = (context: AdapterContext, files: readonly EstateFile[], call: Call) =>
  Promise.all(
    sites.map(async (site) => {
      const kept = readJsonFile(files, fileName(site), parseResources);
      return { site, ...resourceChanges(kept, await monitoringOf(context, site, call)) };
    }),
  );

async function restore(context: AdapterContext, files: readonly EstateFile[], call: Call): Promise<readonly string[]> {
  const done: string[] = [];
  for (const { site, puts } of await changes(context, files, call)) {
    for (const resource of puts) {
      call.progress(resource.id.split('/').slice(-2).join('/'));
      await putBack(cloudOf(context), resource, call.signal);
    }
    if (puts.length > 0) done.push(`${puts.length} resources of ${site}'s monitoring put`);
  }
  return done;
}
