/**
 * Azure SQL: the control plane only. No SQL engine runs behind these resources; each says so in `properties.sandbox`.
 * The roles of a failover group are real state: a failover flips them on both of its servers.
 */
import { isIPv4 } from 'node:net';
import { ArmError, type ArmContent, type ArmResource, type Context, type Json, type Kind } from '../kind';
import { idOf, needReferenced, now, succeeded } from './common';

const apiVersions = [
  '2014-04-01',
  '2020-11-01-preview',
  '2021-02-01-preview',
  '2021-05-01-preview',
  '2021-08-01-preview',
  '2021-11-01',
  '2021-11-01-preview',
  '2022-02-01-preview',
  '2022-05-01-preview',
  '2022-08-01-preview',
  '2023-05-01-preview',
  '2023-08-01',
  '2023-08-01-preview',
];
const model = (mapper: string, allow: readonly string[] = []) => ({ package: '@azure/arm-sql', mapper, allow });
const serverType = 'Microsoft.Sql/servers';
const databaseType = `${serverType}/databases`;
const groupType = `${serverType}/failoverGroups`;
const notice = { sandbox: 'control plane only: no SQL engine runs behind this resource' };

const servers: Kind = {
  type: serverType,
  apiVersions,
  name: /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
  location: 'required',
  model: model('Server'),
  patchModel: model('ServerUpdate'),
  writeOnly: ['properties.administratorLoginPassword'],
  rules: [
    { path: 'properties.version', oneOf: ['12.0', '2.0'], initial: '12.0' },
    { path: 'properties.administratorLogin', immutable: true },
    { path: 'properties.minimalTlsVersion', oneOf: ['None', '1.0', '1.1', '1.2', '1.3'], initial: '1.2' },
    {
      path: 'properties.publicNetworkAccess',
      oneOf: ['Enabled', 'Disabled', 'SecuredByPerimeter'],
      initial: 'Enabled',
    },
    { path: 'properties.restrictOutboundNetworkAccess', oneOf: ['Enabled', 'Disabled'], initial: 'Disabled' },
  ],
  put(ctx, body) {
    const onlyEntra = (body.properties['administrators'] as Json | undefined)?.['azureADOnlyAuthentication'] === true;
    if (
      !onlyEntra &&
      !(body.properties['administratorLogin'] && ctx.secrets.get('properties.administratorLoginPassword'))
    ) {
      throw new ArmError(
        400,
        'InvalidParameterValue',
        'A server needs administratorLogin with administratorLoginPassword, or Entra-only administrators.',
      );
    }
    return succeeded(body, {
      state: 'Ready',
      fullyQualifiedDomainName: `${ctx.id.name}.database.windows.net`,
      ...notice,
    });
  },
  inUseBy: (ctx, resource) => ctx.list(groupType, resource.id).map((group) => group.id),
};

const redundancies = ['Local', 'Zone', 'Geo', 'GeoZone'];
const createModes = [
  'Default',
  'Copy',
  'Secondary',
  'OnlineSecondary',
  'PointInTimeRestore',
  'Restore',
  'Recovery',
  'RestoreExternalBackup',
  'RestoreLongTermRetentionBackup',
];
/** The member that says what a database of this createMode is made from. */
const sources: Readonly<Record<string, string>> = {
  Copy: 'sourceDatabaseId',
  Secondary: 'sourceDatabaseId',
  OnlineSecondary: 'sourceDatabaseId',
  PointInTimeRestore: 'sourceDatabaseId',
  Recovery: 'recoverableDatabaseId',
};

const databases: Kind = {
  type: databaseType,
  apiVersions,
  name: /^[^<>*%&:\\/?]{1,127}[^<>*%&:\\/?. ]$/,
  location: 'required',
  model: model('Database', [
    'properties.useFreeLimit',
    'properties.freeLimitExhaustionBehavior',
    'properties.encryptionProtectorAutoRotation',
  ]),
  patchModel: model('DatabaseUpdate'),
  rules: [
    { path: 'sku.name', initial: 'GP_Gen5_2' },
    { path: 'properties.collation', initial: 'SQL_Latin1_General_CP1_CI_AS', immutable: true },
    { path: 'properties.requestedBackupStorageRedundancy', oneOf: redundancies, initial: 'Geo' },
    { path: 'properties.createMode', oneOf: createModes },
  ],
  put(ctx, body, previous) {
    const { createMode = 'Default', ...properties } = body.properties as Json & { readonly createMode?: string };
    const member = sources[createMode];
    if (member && !previous) {
      const source = properties[member];
      if (typeof source !== 'string')
        throw new ArmError(
          400,
          'InvalidParameterValue',
          `'properties.${member}' is missing; createMode ${createMode} needs it.`,
        );
      needReferenced(ctx, source.replace(/\/recoverableDatabases\//i, '/databases/'), `properties.${member}`);
    }
    return succeeded(
      { ...body, properties },
      {
        status: 'Online',
        creationDate: previous?.properties['creationDate'] ?? now(),
        earliestRestoreDate: previous?.properties['creationDate'] ?? now(),
        currentBackupStorageRedundancy: properties['requestedBackupStorageRedundancy'],
        ...notice,
      },
    );
  },
};

const firewallRules: Kind = {
  type: `${serverType}/firewallRules`,
  apiVersions,
  name: /^[^<>*%&:\\/?]{1,128}$/,
  location: 'none',
  model: model('FirewallRule'),
  put(_, body) {
    for (const member of ['startIpAddress', 'endIpAddress']) {
      if (!isIPv4(String(body.properties[member]))) {
        throw new ArmError(
          400,
          'InvalidFirewallRuleIPAddressRange',
          `'properties.${member}' is ${JSON.stringify(body.properties[member])}; it must be an IPv4 address.`,
        );
      }
    }
    return { properties: { ...body.properties, ...notice } };
  },
};

type Role = 'Primary' | 'Secondary';
const serverOf = (group: string) => group.slice(0, group.toLowerCase().indexOf('/failovergroups/'));
const partnersOf = (group: { readonly properties: Json }) =>
  (group.properties['partnerServers'] as readonly Json[]).map((each) => idOf(each) as string);
const mirrorOf = (group: string, partner: string) => `${partner}/failoverGroups/${group.split('/').at(-1)}`;

const asRole = (group: ArmResource, role: Role): ArmResource => ({
  ...group,
  properties: {
    ...group.properties,
    replicationRole: role,
    replicationState: 'CATCH_UP',
    partnerServers: (group.properties['partnerServers'] as readonly Json[]).map((each) => ({
      ...each,
      replicationRole: role === 'Primary' ? 'Secondary' : 'Primary',
    })),
  },
});

/** The vendor shows the group on every partner, in the other role. */
function mirror(ctx: Context, group: ArmResource): void {
  const server = ctx.need(serverOf(group.id));
  const { replicationRole } = group.properties;
  for (const partner of partnersOf(group)) {
    const own: ArmResource = {
      ...group,
      id: mirrorOf(group.id, partner),
      location: ctx.need(partner).location ?? '',
      properties: { ...group.properties, partnerServers: [{ id: server.id, location: server.location }] },
    };
    ctx.save(asRole(own, replicationRole === 'Primary' ? 'Secondary' : 'Primary'));
  }
}

/** The roles flip; asked of the server that is to become primary. */
function failover(ctx: Context, group: ArmResource): ArmResource {
  if (group.properties['replicationRole'] === 'Primary') {
    throw new ArmError(
      409,
      'FailoverGroupAlreadyPrimary',
      `The server '${serverOf(group.id)}' is already the primary of the failover group '${group.name}'.`,
    );
  }
  const next = asRole(group, 'Primary');
  ctx.save(next);
  mirror(ctx, next);
  return next;
}

function checkGroup(ctx: Context, body: ArmContent): void {
  const own = ctx.need(ctx.id.parent as string);
  const partners = partnersOf(body);
  if (partners.length === 0)
    throw new ArmError(
      400,
      'InvalidParameterValue',
      "'properties.partnerServers' is empty; a failover group needs one.",
    );
  for (const partner of partners) {
    if (needReferenced(ctx, partner, 'properties.partnerServers').location === own.location) {
      throw new ArmError(
        400,
        'InvalidFailoverGroupRegion',
        `The servers '${own.name}' and '${partner.split('/').at(-1)}' are in the same region.`,
      );
    }
  }
  const policy = (body.properties['readWriteEndpoint'] as Json)['failoverPolicy'];
  const grace = (body.properties['readWriteEndpoint'] as Json)['failoverWithDataLossGracePeriodMinutes'];
  if (policy === 'Automatic' && !(typeof grace === 'number' && grace >= 60)) {
    const message = `'properties.readWriteEndpoint.failoverWithDataLossGracePeriodMinutes' is ${JSON.stringify(grace)}; failoverPolicy Automatic needs at least 60.`;
    throw new ArmError(400, 'InvalidParameterValue', message);
  }
  for (const database of (body.properties['databases'] as readonly string[] | undefined) ?? [])
    needReferenced(ctx, database, 'properties.databases');
}

const failoverGroups: Kind = {
  type: groupType,
  apiVersions,
  name: /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
  location: 'none',
  model: model('FailoverGroup', ['properties.secondaryType']),
  patchModel: model('FailoverGroupUpdate'),
  rules: [
    { path: 'properties.readWriteEndpoint', required: true },
    { path: 'properties.partnerServers', required: true },
    { path: 'properties.readWriteEndpoint.failoverPolicy', required: true, oneOf: ['Manual', 'Automatic'] },
    { path: 'properties.readOnlyEndpoint.failoverPolicy', oneOf: ['Enabled', 'Disabled'], initial: 'Disabled' },
  ],
  put(ctx, body, previous) {
    checkGroup(ctx, body);
    const partners = partnersOf(body).map((id) => ({ id, location: ctx.need(id).location }));
    const draft: ArmResource = {
      ...body,
      id: ctx.id.id,
      name: ctx.id.name,
      type: groupType,
      location: ctx.need(ctx.id.parent as string).location ?? '',
      properties: { databases: [], ...body.properties, partnerServers: partners, ...notice },
    };
    const group = asRole(draft, (previous?.properties['replicationRole'] as Role | undefined) ?? 'Primary');
    mirror(ctx, group);
    return group;
  },
  remove(ctx, resource) {
    for (const partner of partnersOf(resource)) {
      const other = ctx.get(mirrorOf(resource.id, partner));
      if (other) ctx.discard(other);
    }
  },
  actions: {
    failover,
    forceFailoverAllowDataLoss: failover,
    tryPlannedBeforeForcedFailover: failover,
  },
};

const shortTermRetention: Kind = {
  type: `${databaseType}/backupShortTermRetentionPolicies`,
  apiVersions,
  name: /^default$/i,
  location: 'none',
  refused: ['DELETE'],
  createdStatus: 200,
  model: model('BackupShortTermRetentionPolicy'),
  patchModel: model('BackupShortTermRetentionPolicy'),
  rules: [
    { path: 'properties.retentionDays', min: 1, max: 35, initial: 7 },
    { path: 'properties.diffBackupIntervalInHours', oneOf: [12, 24], initial: 12 },
  ],
  put: (_, body) => body,
  find: (ctx, name) =>
    ctx.get(ctx.id.parent ?? '')
      ? {
          id: ctx.id.id,
          name,
          type: shortTermRetention.type,
          properties: { retentionDays: 7, diffBackupIntervalInHours: 12 },
        }
      : undefined,
};

const duration = /^(P\d+[DWMY]|PT0S)$/;
const longTermRetention: Kind = {
  type: `${databaseType}/backupLongTermRetentionPolicies`,
  apiVersions,
  name: /^default$/i,
  location: 'none',
  refused: ['DELETE'],
  createdStatus: 200,
  model: model('LongTermRetentionPolicy', ['properties.timeBasedImmutability', 'properties.timeBasedImmutabilityMode']),
  rules: [
    ...['weekly', 'monthly', 'yearly'].map((each) => ({
      path: `properties.${each}Retention`,
      pattern: duration,
      initial: 'PT0S',
    })),
    { path: 'properties.weekOfYear', min: 0, max: 52, initial: 0 },
  ],
  put: (_, body) => body,
  find: (ctx, name) =>
    ctx.get(ctx.id.parent ?? '')
      ? {
          id: ctx.id.id,
          name,
          type: longTermRetention.type,
          properties: { weeklyRetention: 'PT0S', monthlyRetention: 'PT0S', yearlyRetention: 'PT0S', weekOfYear: 0 },
        }
      : undefined,
};

export const kinds: readonly Kind[] = [
  servers,
  databases,
  firewallRules,
  failoverGroups,
  shortTermRetention,
  longTermRetention,
];
