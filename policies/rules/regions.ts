import { defineRule, read, text, type Violation } from '../rule';

/** Azure's regions in the European Economic Area. The United Kingdom and Switzerland are outside it. */
export const eeaRegions: readonly string[] = [
  'austriaeast',
  'belgiumcentral',
  'denmarkeast',
  'francecentral',
  'francesouth',
  'germanynorth',
  'germanywestcentral',
  'italynorth',
  'northeurope',
  'norwayeast',
  'norwaywest',
  'polandcentral',
  'spaincentral',
  'swedencentral',
  'swedensouth',
  'westeurope',
];

/** Services without a place: their location is the word `global`. */
const globalTypes: readonly string[] = [
  'azure-native:privatedns:PrivateZone',
  'azure-native:privatedns:VirtualNetworkLink',
  'azure-native:dns:Zone',
  'azure-native:monitor:MetricAlert',
  'azure-native:monitor:ActivityLogAlert',
  'azure-native:monitor:ActionGroup',
  'azure-native:trafficmanager:Profile',
];

/** Types that have a place and would take their resource group's, or the provider's default, were none written down. */
const placedTypes: readonly string[] = [
  'azure-native:resources:ResourceGroup',
  'azure-native:dbforpostgresql:Server',
  'azure-native:sql:Server',
  'azure-native:sql:Database',
  'azure-native:storage:StorageAccount',
  'azure-native:containerservice:ManagedCluster',
  'azure-native:app:ManagedEnvironment',
  'azure-native:app:ContainerApp',
  'azure-native:network:VirtualNetwork',
  'azure-native:network:PublicIPAddress',
  'azure-native:network:NatGateway',
  'azure-native:network:NetworkSecurityGroup',
  'azure-native:managedidentity:UserAssignedIdentity',
  'azure-native:operationalinsights:Workspace',
  'azure-native:dataprotection:BackupVault',
  'azure-native:recoveryservices:Vault',
  'azure-native:keyvault:Vault',
];

/** Regions of Cloudflare's object storage: the jurisdiction is a guarantee, a location hint is none. */
function* bucketPlace(props: unknown): Iterable<Violation> {
  const value = read(props, 'jurisdiction');
  if (value !== 'eu') yield { property: 'jurisdiction', value, limit: '"eu"' };
}

export const eeaRegionsOnly = defineRule<{ regions: readonly string[] }>({
  name: 'eea-regions',
  description: 'Everything that has a place says so, and it is in the European Economic Area',
  standard: 'GDPR Chapter V (transfers to third countries)',
  scope: 'resource',
  types: 'all',
  settings: {
    regions: {
      type: 'array',
      items: { type: 'string', enum: [...eeaRegions] },
      minItems: 1,
      default: [...eeaRegions],
      description: `a list of regions out of ${eeaRegions.join(', ')}`,
    },
  },
  *check(resource, { regions }) {
    if (resource.type === 'cloudflare:index/r2Bucket:R2Bucket') yield* bucketPlace(resource.props);
    if (!resource.type.startsWith('azure-native:')) return;
    const value = read(resource.props, 'location');
    const mayBeGlobal = globalTypes.includes(resource.type);
    if (value === undefined && !placedTypes.includes(resource.type)) return;
    const name = text(value).toLowerCase().replaceAll(' ', '');
    if (regions.includes(name) || (mayBeGlobal && name === 'global')) return;
    yield { property: 'location', value, limit: (mayBeGlobal ? '"global" or ' : '') + `one of ${regions.join(', ')}` };
  },
});
