import { isOfDrill } from '../drill';
import { defineRule, dependentsOf, read, readLower, text, type Resource, type Stack, type Violation } from '../rule';

const postgres = 'azure-native:dbforpostgresql:Server';
const sqlDatabase = 'azure-native:sql:Database';
const account = 'azure-native:storage:StorageAccount';
const backupVault = 'azure-native:dataprotection:BackupVault';
const recoveryVault = 'azure-native:recoveryservices:Vault';
const standard =
  'ISO/IEC 27001:2022 A.8.14 (redundancy), A.5.30 (ICT readiness); NIST SP 800-34 Rev. 1 (alternate storage site)';

const region = (resource: Resource) => readLower(resource.props, 'location').replaceAll(' ', '');
const replicatingRoles = ['asyncreplica', 'geoasyncreplica'];

/** The vendor forgets how a server was made: what a stack validation sees of it is the answer, so the server carries a tag. */
const method = ({ props }: Resource) => readLower(props, 'tags.standby-method');
const madeAsReplica = (server: Resource) =>
  readLower(server.props, 'createMode') === 'replica' || method(server) === 'replica';

/** A promoted replica is a server of its own: it was created as a replica, but follows nobody any more. */
function isPromoted(server: Resource): boolean {
  if (!madeAsReplica(server)) return false;
  const role = readLower(server.props, 'replicationRole');
  const asked = readLower(server.props, 'replica.role');
  return role === 'primary' || role === 'none' || asked === 'primary' || asked === 'none';
}
const isReplica = (server: Resource) =>
  !isPromoted(server) &&
  (madeAsReplica(server) || replicatingRoles.includes(readLower(server.props, 'replicationRole')));

/** Made in a change of role, where no geo-redundant backup can be had. */
const awaitsReprotect = (server: Resource) => isPromoted(server) || ['georestore', 'import'].includes(method(server));

const hasGeoBackup = (server: Resource) => readLower(server.props, 'backup.geoRedundantBackup') === 'enabled';
const hasReplicaElsewhere = (server: Resource, stack: Stack) =>
  dependentsOf(server, stack, [postgres]).some((other) => isReplica(other) && region(other) !== region(server));

const hasFailoverGroup = (database: Resource, stack: Stack) => {
  const servers = stack.resources.filter((one) => (database.dependencies['serverName'] ?? []).includes(one.urn));
  return [database, ...servers].some((one) => dependentsOf(one, stack, ['azure-native:sql:FailoverGroup']).length > 0);
};
const isSecondary = (database: Resource) =>
  ['secondary', 'onlinesecondary'].includes(readLower(database.props, 'createMode'));

function* needs(resource: Resource, property: string, fits: RegExp, limit: string): Iterable<Violation> {
  const value = read(resource.props, property);
  if (!fits.test(text(value))) yield { property, value, limit };
}

/** Everything that keeps data has a second copy in another region. Replicas are second copies themselves. */
export const secondRegion = defineRule<{ elsewhere: readonly string[] }>({
  name: 'second-region',
  description: 'Data has a second copy in another region: a geo-redundant backup, a replica or a failover group',
  standard,
  scope: 'stack',
  types: [postgres, sqlDatabase, account, backupVault, recoveryVault],
  settings: {
    elsewhere: {
      type: 'array',
      items: { type: 'string' },
      default: [],
      description: 'a list of names of resources that another stack or another vendor keeps a copy of',
    },
  },
  *check(resource, { elsewhere }, stack) {
    if (elsewhere.includes(resource.name) || isOfDrill(resource, stack)) return;
    if (resource.type === postgres) {
      if (isReplica(resource) || awaitsReprotect(resource) || hasReplicaElsewhere(resource, stack)) return;
      yield* needs(resource, 'backup.geoRedundantBackup', /^enabled$/i, '"Enabled", or a replica in another region');
    } else if (resource.type === sqlDatabase) {
      if (isSecondary(resource) || hasFailoverGroup(resource, stack)) return;
      const limit = '"Geo" or "GeoZone", or a failover group with a server in another region';
      yield* needs(resource, 'requestedBackupStorageRedundancy', /^geo(zone)?$/i, limit);
    } else if (resource.type === account) {
      yield* needs(
        resource,
        'sku.name',
        /_(RA)?G(Z?)RS$/i,
        'a GRS, RAGRS, GZRS or RAGZRS sku, or a copy named in elsewhere',
      );
    } else if (resource.type === recoveryVault) {
      const property = 'properties.redundancySettings.standardTierStorageRedundancy';
      yield* needs(resource, property, /^georedundant$/i, '"GeoRedundant"');
    } else {
      yield* needs(resource, 'properties.storageSettings.0.type', /^georedundant$/i, '"GeoRedundant"');
    }
  },
});

/**
 * Geo-redundant backup can be chosen only when a server is made, and neither for a replica nor while the paired region is gone. So
 * a server that was promoted or restored must not block the way home; it is told that the next act is due instead.
 */
export const reprotect = defineRule({
  name: 'reprotect',
  description:
    'A promoted or restored server is replicated in the reverse direction as soon as the site it came from is back',
  standard,
  level: 'advisory',
  scope: 'stack',
  types: [postgres],
  settings: {},
  *check(resource, _settings, stack): Iterable<Violation> {
    if (!awaitsReprotect(resource) || isOfDrill(resource, stack)) return;
    if (hasGeoBackup(resource) || hasReplicaElsewhere(resource, stack)) return;
    yield {
      property: 'second copy',
      value: undefined,
      limit:
        'a replica in another region: reprotect, this server was promoted or restored and has no geo-redundant backup',
    };
  },
});
