import { expect } from 'chai';
import { BackupStorage } from '../../components/backup/backupStorage';
import type { DatabaseArgs } from '../../components/database/engine';
import { databaseEngines } from '../../components/database/engines';
import { RecoveryServer, type RecoveryServerArgs } from '../../components/database/recoveryServer';
import { SqlFailoverGroup } from '../../components/database/sqlFailoverGroup';
import { IdentityProvider } from '../../components/identity/identityProvider';
import { realmFile } from '../../components/identity/realm';
import { apps, type App } from '../../config/fields';
import { group, hosts, made, one, place, type Json } from './support';

const database: DatabaseArgs = {
  ...place,
  ...{ serverName: 'psql-x', version: '15', sku: 'Standard_D4ds_v5', tier: 'GeneralPurpose', storageGb: 128 },
  ...{ backupRetentionDays: 35, geoRedundantBackup: true, administrator: 'standby', databases: ['app', 'keycloak'] },
  ...{ siteAddress: '203.0.10.1', operatorAddresses: ['198.51.100.7'] },
};

describe('database', () => {
  it('PostgresqlServer: protected, backed up elsewhere, open to its site and the operators alone', async () => {
    const resources = await made(() => databaseEngines.postgresql.create('database', database));
    const server = one(resources, 'azure-native:dbforpostgresql:Server', 'database-server');
    expect(server.protect).to.equal(true);
    expect(server.secrets).to.include('administratorLoginPassword');
    expect(server.inputs).to.deep.include({
      serverName: 'psql-x',
      location: 'westeurope',
      backup: { backupRetentionDays: 35, geoRedundantBackup: 'Enabled' },
    });
    expect(server.ignoreChanges).to.include.members(['availabilityZone', 'sourceServerResourceId', 'pointInTimeUTC']);
    const rules = resources.filter(({ type }) => type === 'azure-native:dbforpostgresql:FirewallRule');
    expect(
      rules.map(({ inputs }) => [inputs['firewallRuleName'], inputs['startIpAddress'], inputs['endIpAddress']]),
      'no name that a replica could have from its source',
    ).to.have.deep.members([
      ['psql-x-own-site', '203.0.10.1', '203.0.10.1'],
      ['psql-x-operator-198-51-100-7', '198.51.100.7', '198.51.100.7'],
    ]);
    const databases = resources.filter(({ type }) => type === 'azure-native:dbforpostgresql:Database');
    expect(databases.map(({ inputs, protect }) => [inputs['databaseName'], protect])).to.deep.equal([
      ['app', true],
      ['keycloak', true],
    ]);
  });

  it('PostgresqlServer: rules and databases one after the other, for Azure does one thing at a time to a server', async () => {
    const resources = await made(() => databaseEngines.postgresql.create('database', database));
    const after = (name: string) => resources.find((each) => each.name === `database-${name}`)?.dependsOn;
    expect(after('operator-198-51-100-7')).to.include('database-own-site');
    expect(after('app')).to.include('database-operator-198-51-100-7');
    expect(after('keycloak')).to.include('database-app');
  });

  it('AzureSqlServer: the same behind the same interface', async () => {
    const args = { ...database, serverName: 'sql-x', sku: 'GP_Gen5_4' };
    const resources = await made(() => databaseEngines.sqlserver.create('database', args));
    const server = one(resources, 'azure-native:sql:Server', 'database-server');
    expect(server.inputs).to.include({ serverName: 'sql-x', minimalTlsVersion: '1.2' });
    expect(server.protect).to.equal(true);
    const app = one(resources, 'azure-native:sql:Database', 'database-app');
    expect(app.inputs).to.include({ requestedBackupStorageRedundancy: 'Geo', maxSizeBytes: 128 * 1024 ** 3 });
    const policy = one(resources, 'azure-native:sql:BackupShortTermRetentionPolicy', 'database-app-retention').inputs;
    expect(policy).to.include({ policyName: 'default', retentionDays: 35, databaseName: 'app' });
    expect(resources.filter(({ type }) => type === 'azure-native:sql:FirewallRule')).to.have.length(2);
  });

  it('SqlFailoverGroup: fails over when a person says so', async () => {
    const args = { resourceGroupName: 'rg-x', groupName: 'fog-x', serverName: 'sql-x', partnerServerId: 'partner' };
    const resources = await made(() => new SqlFailoverGroup('group', { ...args, databaseIds: ['app'] }));
    const { inputs, protect } = one(resources, 'azure-native:sql:FailoverGroup', 'group-group');
    expect(inputs).to.deep.include({
      readWriteEndpoint: { failoverPolicy: 'Manual' },
      partnerServers: [{ id: 'partner' }],
    });
    expect(protect).to.equal(true);
  });

  const recovery: RecoveryServerArgs = {
    ...place,
    ...{ serverName: 'psql-x-e2', method: 'geoRestore', sourceServerId: `${group}/psql-x`, sku: 's', tier: 't' },
    ...{ storageGb: 128, backupRetentionDays: 35, geoRedundantBackup: false, siteAddress: '203.0.20.1' },
    beginning: { version: '15', administrator: 'drpadmin', password: 'a-password-of-the-source' },
  };
  const recovered = async (args: Partial<RecoveryServerArgs>) =>
    one(
      await made(() => new RecoveryServer('psql-x-e2', { ...recovery, ...args })),
      'azure-native:dbforpostgresql:Server',
      'psql-x-e2-server',
    );

  it('RecoveryServer: by geo-restore, to a time in the past, with backups in its own region alone', async () => {
    const { inputs, protect, ignoreChanges } = await recovered({});
    expect(inputs).to.include({ createMode: 'GeoRestore', sourceServerResourceId: `${group}/psql-x` });
    expect(Date.parse(String(inputs['pointInTimeUTC']))).to.be.at.most(Date.now());
    expect(inputs['backup']).to.deep.equal({ backupRetentionDays: 35, geoRedundantBackup: 'Disabled' });
    expect(protect).to.equal(true);
    expect(ignoreChanges).to.include.members(['createMode', 'sourceServerResourceId', 'pointInTimeUTC']);
    expect(ignoreChanges, 'it can be chosen once').to.include('backup.geoRedundantBackup');
  });

  it('RecoveryServer: beside its source, as that was at a second', async () => {
    const pointInTime = '2026-01-31T22:00:00Z';
    const { inputs, protect, ignoreChanges } = await recovered({
      method: 'pointInTimeRestore',
      geoRedundantBackup: true,
      pointInTime,
    });
    expect(inputs).to.include({ createMode: 'PointInTimeRestore', sourceServerResourceId: `${group}/psql-x` });
    expect(inputs).to.include({ pointInTimeUTC: pointInTime });
    expect(inputs['backup']).to.deep.equal({ backupRetentionDays: 35, geoRedundantBackup: 'Enabled' });
    expect(protect).to.equal(true);
    expect(ignoreChanges).to.include.members(['createMode', 'sourceServerResourceId', 'pointInTimeUTC']);
  });

  it('RecoveryServer: empty for an import, with the login of the server whose data come', async () => {
    const { inputs, protect, secrets, ignoreChanges } = await recovered({ method: 'import' });
    expect(inputs)
      .to.include({ createMode: 'Default', version: '15', administratorLogin: 'drpadmin' })
      .and.not.have.any.keys('sourceServerResourceId', 'pointInTimeUTC');
    expect(inputs['administratorLoginPassword']).to.equal('a-password-of-the-source');
    expect(secrets).to.include('administratorLoginPassword');
    expect(protect).to.equal(true);
    expect(ignoreChanges).to.include.members(['createMode', 'administratorLoginPassword', 'version']);
  });

  it('RecoveryServer: as a replica, promoted as planned or by force', async () => {
    expect((await recovered({ method: 'replica' })).inputs)
      .to.include({ createMode: 'Replica' })
      .and.not.have.property('replica');
    const promoted = async (promotion?: 'forced') =>
      (await recovered({ method: 'replica', promoted: true, ...(promotion ? { promotion } : {}) })).inputs['replica'];
    expect(await promoted()).to.deep.equal({ role: 'None', promoteMode: 'Standalone', promoteOption: 'Planned' });
    expect(await promoted('forced')).to.deep.include({ promoteOption: 'Forced' });
  });

  it('RecoveryServer: as large as its source has grown; an import, as large as is configured', async () => {
    for (const method of ['geoRestore', 'replica', 'pointInTimeRestore'] as const)
      expect((await recovered({ method })).inputs, method).not.to.have.property('storage');
    const { inputs } = await recovered({ method: 'import' });
    expect(inputs['storage']).to.deep.equal({ storageSizeGB: 128, autoGrow: 'Enabled' });
  });

  it('RecoveryServer: stays as it is while its region is out of reach', async () => {
    const resources = await made(() => new RecoveryServer('psql-x-e2', { ...recovery, frozen: true }));
    for (const resource of resources.filter(({ custom }) => custom))
      expect(resource.ignoreChanges).to.deep.equal(['*']);
  });
});

describe('identity', () => {
  it('IdentityProvider: on its own database, its secrets secret, behind TLS', async () => {
    const resources = await made(
      () =>
        new IdentityProvider('idp', {
          ...place,
          ...{ appName: 'ca-x-idp', environmentId: 'environment', environmentDomain: 'sea.example', image: 'keycloak' },
          ...{ databaseVendor: 'postgres', databaseUrl: 'jdbc:postgresql://db/keycloak', databaseUser: 'standby' },
          ...{ databasePassword: 'p1', publicHost: 'idp.moodtalk.ch', realm: '{}', realmName: 'moodtalk' },
          ...{ administrator: 'admin', administratorPassword: 'p2' },
        }),
    );
    const { inputs, secrets } = one(resources, 'azure-native:app:ContainerApp', 'idp-app');
    expect(secrets).to.include('configuration');
    const { ingress } = inputs['configuration'] as { ingress: Json };
    expect(ingress).to.include({ external: true, allowInsecure: false, targetPort: 8080 });
    const { containers, volumes } = inputs['template'] as { containers: Json[]; volumes: Json[] };
    expect(JSON.stringify(containers)).not.to.match(/p1|p2/);
    expect(containers[0]?.['args']).to.deep.equal(['start', '--optimized', '--import-realm']);
    expect(containers[0]?.['env']).to.deep.include({ name: 'KC_HOSTNAME', value: 'https://idp.moodtalk.ch' });
    expect(volumes[0]?.['secrets']).to.deep.equal([{ secretRef: 'realm', path: 'moodtalk-realm.json' }]);
  });

  it('realmFile: a confidential client per application, no users', async () => {
    const clients = Object.fromEntries(apps.map((app) => [app, `secret-of-${app}`])) as Record<App, string>;
    const text = await new Promise<string>((resolve) =>
      realmFile({ realm: 'moodtalk', hosts, clients }).apply(resolve),
    );
    const realm = JSON.parse(text) as { clients: Json[]; users?: unknown };
    expect(realm).not.to.have.property('users');
    expect(realm.clients.map(({ clientId }) => clientId)).to.deep.equal([...apps]);
    expect(realm.clients.find(({ clientId }) => clientId === 'id')).to.deep.include({
      publicClient: false,
      secret: 'secret-of-id',
      redirectUris: ['https://id.moodtalk.ch/*'],
    });
  });
});

describe('a database for a Java client', () => {
  const url = (source?: string) =>
    new URL(databaseEngines.postgresql.jdbcUrl('new.example', 'keycloak', source).replace(/^jdbc:/, ''));

  it('is verified, and given up soon', () => {
    expect(Object.fromEntries(url().searchParams)).to.include({ sslmode: 'verify-full', connectTimeout: '2' });
    expect(url().host).to.equal('new.example:5432');
  });

  it('of a replica is its source until the replica takes writes', () => {
    const text = databaseEngines.postgresql.jdbcUrl('new.example', 'keycloak', 'old.example');
    expect(text).to.match(/^jdbc:postgresql:\/\/new\.example:5432,old\.example:5432\/keycloak\?/);
    expect(text).to.contain('targetServerType=primary').and.to.contain('hostRecheckSeconds=1');
  });
});

describe('backup', () => {
  it('BackupStorage: no key, no public access, versions, immutable for its time', async () => {
    const args = { ...place, accountName: 'stxbackup', redundancy: 'Standard_GRS', retentionDays: 35 };
    const resources = await made(() => new BackupStorage('backup', args));
    const account = one(resources, 'azure-native:storage:StorageAccount', 'backup-account');
    expect(account.protect).to.equal(true);
    expect(account.inputs).to.include({
      minimumTlsVersion: 'TLS1_2',
      allowBlobPublicAccess: false,
      allowSharedKeyAccess: false,
      enableHttpsTrafficOnly: true,
    });
    expect(one(resources, 'azure-native:storage:BlobServiceProperties', 'backup-blobs').inputs).to.include({
      isVersioningEnabled: true,
    });
    expect(one(resources, 'azure-native:storage:BlobContainer', 'backup-container').protect).to.equal(true);
    const policy = one(resources, 'azure-native:storage:BlobContainerImmutabilityPolicy', 'backup-immutability');
    expect(policy.inputs).to.include({ immutabilityPeriodSinceCreationInDays: 35, containerName: 'backups' });
    expect(policy.retainOnDelete).to.equal(true);
    const rules = JSON.stringify(one(resources, 'azure-native:storage:ManagementPolicy', 'backup-lifecycle').inputs);
    expect(rules.match(/GreaterThan":36/g), 'nothing goes before its time').to.have.length(2);
  });

  it('BackupStorage: is immutable for ten years where that is wanted; what is deleted comes back for one, the most there is', async () => {
    const args = { ...place, accountName: 'stxbackup', redundancy: 'Standard_GRS', retentionDays: 3650 };
    const resources = await made(() => new BackupStorage('backup', args));
    expect(one(resources, 'azure-native:storage:BlobServiceProperties', 'backup-blobs').inputs).to.deep.include({
      deleteRetentionPolicy: { enabled: true, days: 365 },
      containerDeleteRetentionPolicy: { enabled: true, days: 365 },
    });
    expect(
      one(resources, 'azure-native:storage:BlobContainerImmutabilityPolicy', 'backup-immutability').inputs,
    ).to.include({ immutabilityPeriodSinceCreationInDays: 3650 });
  });
});
