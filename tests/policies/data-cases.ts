/** Cases of the policies about data: each with states that pass and states that are refused. */
import type { Case } from './cases';

const server = (inputs: object, outputs: object = {}, name = 'psql') =>
  ({ type: 'azure-native:dbforpostgresql:Server', name, inputs, outputs }) as const;
const container = (inputs: object = {}) =>
  ({
    type: 'azure-native:storage:BlobContainer',
    name: 'backups',
    inputs: { containerName: 'backups', ...inputs },
    from: { accountName: ['account'] },
  }) as const;
const account = (inputs: object = {}) =>
  ({ type: 'azure-native:storage:StorageAccount', name: 'account', inputs }) as const;
const immutability = (outputs: object = {}) =>
  ({
    type: 'azure-native:storage:BlobContainerImmutabilityPolicy',
    name: 'immutability',
    inputs: { immutabilityPeriodSinceCreationInDays: 35 },
    outputs,
    from: { containerName: ['backups'] },
  }) as const;
const ofAccount = (state?: string) =>
  account({ immutableStorageWithVersioning: { enabled: true, immutabilityPolicy: { state } } });
const expiry = (days: number, enabled = true) =>
  ({
    type: 'azure-native:storage:ManagementPolicy',
    name: 'expiry',
    inputs: {
      policy: {
        rules: [
          { enabled, definition: { actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: days } } } } },
        ],
      },
    },
  }) as const;
const shortTerm = (retentionDays?: number) =>
  ({ type: 'azure-native:sql:BackupShortTermRetentionPolicy', name: 'retention', inputs: { retentionDays } }) as const;
const sqlServer = (name: string) =>
  ({ type: 'azure-native:sql:Server', name, inputs: { location: 'westeurope' } }) as const;
const sqlDatabase = (inputs: object) =>
  ({ type: 'azure-native:sql:Database', name: 'careful', inputs, from: { serverName: ['sql'] } }) as const;
const failoverGroup = { type: 'azure-native:sql:FailoverGroup', name: 'group', from: { serverName: ['sql'] } } as const;
const replica = (inputs: object = {}, outputs: object = {}) => ({
  ...server({ location: 'northeurope', createMode: 'Replica', ...inputs }, outputs, 'replica'),
  from: { sourceServerResourceId: ['psql'] },
});
const geo = { location: 'westeurope', backup: { geoRedundantBackup: 'Enabled' } };
const local = { location: 'westeurope', backup: { geoRedundantBackup: 'Disabled' } };
const restored = (method: string) => server({ ...local, tags: { 'standby-method': method } });
const group = (protect: boolean) => ({ type: 'azure-native:resources:ResourceGroup', name: 'rg', protect }) as const;
const inGroup = { ...server({}), protect: true, from: { resourceGroupName: ['rg'] } };
const kept = { resources: ['prod::azure-native:dbforpostgresql:Server::psql'] };

export const dataCases: readonly Case[] = [
  {
    policy: 'backup-retention',
    passes: {
      'a server at the minimum': { given: [server({ backup: { backupRetentionDays: 35 } })] },
      'a shorter minimum of the profile': {
        settings: { minimumDays: 7 },
        given: [server({ backup: { backupRetentionDays: 7 } })],
      },
      'Azure SQL at the minimum': { given: [shortTerm(35)] },
      'a container immutable for the minimum': { given: [immutability()] },
      'an expiry after the minimum, or switched off': { given: [expiry(35), expiry(1, false)] },
    },
    violations: {
      'a server one day short': {
        given: [server({ backup: { backupRetentionDays: 34 } })],
        says: ['backup.backupRetentionDays is 34', '35 days'],
      },
      "a server with the vendor's default": { given: [server({})], says: ['is not set'] },
      'Azure SQL one day short': { given: [shortTerm(34)], says: ['retentionDays is 34'] },
      'Azure SQL unset': { given: [shortTerm()], says: ['retentionDays is not set'] },
      'an expiry before the minimum': {
        given: [expiry(30)],
        says: ['policy.rules[0].definition.actions.baseBlob.delete', 'is 30'],
      },
    },
  },
  {
    policy: 'second-region',
    passes: {
      'a geo-redundant backup': { given: [server(geo)] },
      'a replica in another region': { given: [server(local), replica()] },
      'a promoted replica, which reprotect looks at': { given: [replica({ replica: { role: 'None' } })] },
      'a server restored while its pair was gone, which reprotect looks at': {
        given: [restored('geoRestore'), server({ ...local, tags: { 'standby-method': 'import' } }, {}, 'imported')],
      },
      'Azure SQL with geo-redundant backup': { given: [sqlDatabase({ requestedBackupStorageRedundancy: 'Geo' })] },
      'Azure SQL in a failover group': {
        given: [sqlServer('sql'), failoverGroup, sqlDatabase({ requestedBackupStorageRedundancy: 'Local' })],
      },
      'geo-redundant storage': { given: [account({ sku: { name: 'Standard_RAGZRS' } })] },
      'storage that is copied elsewhere': {
        settings: { elsewhere: ['account'] },
        given: [account({ sku: { name: 'Standard_ZRS' } })],
      },
    },
    violations: {
      'a local backup only': { given: [server(local)], says: ['backup.geoRedundantBackup is "Disabled"', '"Enabled"'] },
      'a replica in the same region': { given: [server(local), replica({ location: 'West Europe' })], says: ['psql'] },
      'a replica that was promoted': {
        given: [server(local), replica({}, { replicationRole: 'Primary' })],
        says: ['psql'],
      },
      'a server restored beside its source, both sites live': {
        given: [restored('pointInTimeRestore')],
        says: ['backup.geoRedundantBackup is "Disabled"'],
      },
      'Azure SQL with local backup': {
        given: [sqlServer('sql'), sqlDatabase({ requestedBackupStorageRedundancy: 'Local' })],
        says: ['requestedBackupStorageRedundancy is "Local"'],
      },
      'storage in one region': {
        given: [account({ sku: { name: 'Standard_ZRS' } })],
        says: ['sku.name is "Standard_ZRS"'],
      },
      'a vault in one region': {
        given: [
          {
            type: 'azure-native:dataprotection:BackupVault',
            name: 'vault',
            inputs: { properties: { storageSettings: [{ type: 'LocallyRedundant' }] } },
          },
        ],
        says: ['"LocallyRedundant"', '"GeoRedundant"'],
      },
    },
  },
  {
    policy: 'reprotect',
    passes: {
      'a replica that follows': { given: [replica()] },
      'a restored server with a replica of its own': { given: [restored('geoRestore'), replica()] },
      'a promoted replica with a replica of its own': {
        given: [server({ location: 'westeurope', createMode: 'Replica', replica: { role: 'None' } }), replica()],
      },
    },
    violations: {
      'a promoted replica, by what the vendor answers': {
        given: [server({}, { location: 'westeurope', replicationRole: 'None', tags: { 'standby-method': 'replica' } })],
        says: ['reprotect'],
      },
      'a restored server alone': { given: [restored('geoRestore')], says: ['reprotect', 'restored'] },
      'an imported server alone': { given: [restored('import')], says: ['reprotect'] },
      'a promoted replica alone': { given: [replica({ replica: { role: 'None' } })], says: ['reprotect', 'replica'] },
    },
  },
  {
    policy: 'backup-immutability',
    passes: {
      'a policy of the container': { given: [container(), immutability()] },
      "the account's policy for versions": { given: [ofAccount('Unlocked'), container()] },
      'a container without backups': { settings: { exempt: ['backups'] }, given: [container()] },
      'a container without backups, as the vendor answers': {
        settings: { exempt: ['lease'] },
        given: [{ ...container({ containerName: undefined }), outputs: { name: 'lease' } }],
      },
    },
    violations: {
      'a container without a policy': {
        given: [account(), container()],
        says: ['backups', 'immutability policy is not set'],
      },
      "an account's policy that is switched off": { given: [ofAccount('Disabled'), container()], says: ['backups'] },
      'a policy of another container': {
        given: [container(), { ...immutability(), from: { containerName: ['other'] } }],
        says: ['backups'],
      },
    },
  },
  {
    policy: 'backup-immutability-locked',
    passes: {
      'an unlocked policy where the plan does not ask': { given: [container(), immutability({ state: 'Unlocked' })] },
      'a locked policy': { settings: { required: true }, given: [container(), immutability({ state: 'Locked' })] },
      'a locked policy of the account': { settings: { required: true }, given: [ofAccount('Locked'), container()] },
    },
    violations: {
      'an unlocked policy where the plan asks': {
        settings: { required: true },
        given: [container(), immutability({ state: 'Unlocked' })],
        says: ['state is "unlocked"', '"Locked"'],
      },
    },
  },
  {
    policy: 'protect-data',
    passes: { 'a protected server': { given: [{ ...server({}), protect: true }] } },
    violations: { 'an unprotected server': { given: [server({})], says: ['psql', 'protect is false'] } },
  },
  {
    policy: 'protect-data-groups',
    passes: {
      'a protected group with data': { given: [group(true), inGroup] },
      'an unprotected group without data': { given: [group(false), { ...server({}), protect: true }] },
    },
    violations: {
      'an unprotected group with data': { given: [group(false), inGroup], says: ['rg', 'psql is in this group'] },
    },
  },
  {
    policy: 'data-resources-kept',
    passes: {
      'the server is there': { settings: kept, given: [server({})] },
      "another stack's server": {
        settings: { resources: ['intg::azure-native:dbforpostgresql:Server::psql'] },
        given: [],
      },
    },
    violations: {
      'the server is gone': {
        settings: kept,
        given: [],
        says: ['prod::azure-native:dbforpostgresql:Server::psql', 'never deleted'],
      },
      'the server has another name': { settings: kept, given: [server({}, {}, 'psql2')], says: ['::psql is not set'] },
    },
  },
];
