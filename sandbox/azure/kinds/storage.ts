/** Storage accounts, their containers and locks: the control plane. The blob layer reads what `writeStorage` writes. */
import { randomBytes } from 'node:crypto';
import { outside } from '../../world';
import { ArmError, type ArmContent, type ArmResource, type Context, type Json, type Kind, type Rule } from '../kind';
import { pairedRegion } from '../locations';
import type { Store } from '../store';
import { writeStorageState, type Immutability, type StorageContainer } from '../storage';
import { now, succeeded } from './common';

const apiVersions = ['2023-01-01', '2023-05-01', '2024-01-01', '2025-01-01', '2025-06-01'];
const model = (mapper: string) => ({ package: '@azure/arm-storage', mapper });

const accountType = 'Microsoft.Storage/storageAccounts';
const serviceType = `${accountType}/blobServices`;
const containerType = `${serviceType}/containers`;
const policyType = `${containerType}/immutabilityPolicies`;
const managementType = `${accountType}/managementPolicies`;
const onlyDefault = /^default$/i;

const skus = ['LRS', 'GRS', 'RAGRS', 'ZRS', 'GZRS', 'RAGZRS'].map((each) => `Standard_${each}`);
const isGeoRedundant = (sku: string) => /_(RA)?GZ?RS$/.test(sku);

const accountRules: readonly Rule[] = [
  { path: 'sku', required: true },
  { path: 'sku.name', required: true, oneOf: [...skus, 'Premium_LRS', 'Premium_ZRS'] },
  { path: 'kind', oneOf: ['StorageV2', 'BlobStorage', 'BlockBlobStorage', 'FileStorage', 'Storage'] },
  { path: 'properties.minimumTlsVersion', oneOf: ['TLS1_0', 'TLS1_1', 'TLS1_2', 'TLS1_3'], initial: 'TLS1_0' },
  { path: 'properties.allowBlobPublicAccess', initial: false },
  { path: 'properties.supportsHttpsTrafficOnly', initial: true },
  { path: 'properties.publicNetworkAccess', oneOf: ['Enabled', 'Disabled', 'SecuredByPerimeter'] },
  {
    path: 'properties.networkAcls',
    initial: { bypass: 'AzureServices', virtualNetworkRules: [], ipRules: [], defaultAction: 'Allow' },
  },
  { path: 'properties.networkAcls.defaultAction', oneOf: ['Allow', 'Deny'] },
  { path: 'properties.accessTier', oneOf: ['Hot', 'Cool', 'Cold', 'Premium'], initial: 'Hot' },
  { path: 'properties.isHnsEnabled', immutable: true },
  { path: 'properties.immutableStorageWithVersioning', immutable: true },
];

const newKey = () => randomBytes(64).toString('base64');
const keysOf = (ctx: Context) => ({
  keys: ['key1', 'key2'].map((keyName) => ({ keyName, value: ctx.secrets.get(keyName), permissions: 'FULL' })),
});

const accounts: Kind = {
  type: accountType,
  apiVersions,
  name: /^[a-z0-9]{3,24}$/,
  location: 'required',
  createdStatus: 200,
  model: model('StorageAccountCreateParameters'),
  patchModel: model('StorageAccountUpdateParameters'),
  rules: accountRules,
  put(ctx, body, previous) {
    const taken = ctx
      .list(accountType)
      .find((each) => each.name === ctx.id.name && each.id.toLowerCase() !== ctx.id.key);
    if (taken)
      throw new ArmError(
        409,
        'StorageAccountAlreadyTaken',
        `The storage account named ${ctx.id.name} is already taken.`,
      );
    const { name: sku } = body['sku'] as { readonly name: string };
    const location = body['location'] as string;
    const secondary = isGeoRedundant(sku) ? pairedRegion(location) : undefined;
    if (isGeoRedundant(sku) && !secondary) {
      throw new ArmError(
        400,
        'SkuNotAvailable',
        `The sku '${sku}' is not available in '${location}': the region has no paired region.`,
      );
    }
    for (const key of ['key1', 'key2']) if (!ctx.secrets.get(key)) ctx.secrets.set(key, newKey());
    const endpoint = (suffix: string) => `https://${ctx.id.name}${suffix}.blob.core.windows.net/`;
    return succeeded(
      { ...body, sku: { name: sku, tier: sku.split('_')[0] } },
      {
        creationTime: previous?.properties['creationTime'] ?? now(),
        primaryLocation: location,
        statusOfPrimary: 'available',
        primaryEndpoints: { blob: endpoint('') },
        ...(secondary ? { secondaryLocation: secondary, statusOfSecondary: 'available' } : {}),
        ...(sku.includes('RAG') ? { secondaryEndpoints: { blob: endpoint('-secondary') } } : {}),
      },
    );
  },
  remove(ctx, resource) {
    refuseWhileLocked(ctx, ctx.list(policyType, resource.id));
  },
  publicNames: (_, resource) => [{ name: `${resource.name}.blob.core.windows.net`, type: 'A', data: outside.blob }],
  actions: {
    listKeys: keysOf,
    regenerateKey(ctx, _, body) {
      const { keyName } = body;
      if (keyName !== 'key1' && keyName !== 'key2') {
        throw new ArmError(400, 'InvalidKeyName', `keyName is ${JSON.stringify(keyName)}; allowed: key1, key2.`);
      }
      ctx.secrets.set(keyName, newKey());
      ctx.save(ctx.need(ctx.id.id)); // so that whoever reads the keys sees the new one
      return keysOf(ctx);
    },
  },
};

function refuseWhileLocked(ctx: Context, policies: readonly ArmResource[]): void {
  const locked = policies.find((policy) => policy.properties['state'] === 'Locked');
  if (!locked) return;
  throw new ArmError(
    409,
    'ContainerImmutabilityPolicyLocked',
    `'${ctx.id.id}' can't be deleted: the immutability policy '${locked.id}' is locked and its interval is not over.`,
  );
}

/** A default that is there without being made: what GET shows until somebody PUTs it. */
const unset = (id: string, type: string, properties: Json): ArmResource => ({ id, name: 'default', type, properties });

const serviceDefaults = { cors: { corsRules: [] }, deleteRetentionPolicy: { enabled: false } };
const retention = (member: string): Rule => ({ path: `properties.${member}.days`, min: 1, max: 365 });

const services: Kind = {
  type: serviceType,
  apiVersions,
  name: onlyDefault,
  location: 'none',
  refused: ['DELETE'],
  createdStatus: 200,
  model: model('BlobServiceProperties'),
  rules: [
    retention('deleteRetentionPolicy'),
    retention('containerDeleteRetentionPolicy'),
    retention('restorePolicy'),
    { path: 'properties.changeFeed.retentionInDays', min: 1, max: 146_000 },
  ],
  put(_, body) {
    for (const member of ['deleteRetentionPolicy', 'containerDeleteRetentionPolicy']) {
      const policy = body.properties[member] as Json | undefined;
      if (policy?.['enabled'] === true && policy['days'] === undefined) {
        throw new ArmError(
          400,
          'InvalidRequestPropertyValue',
          `'properties.${member}.days' is missing; it is required when the policy is enabled (1 to 365).`,
        );
      }
    }
    return { properties: { ...serviceDefaults, ...body.properties } };
  },
  find: (ctx, name) =>
    onlyDefault.test(name) && ctx.get(ctx.id.parent ?? '') ? unset(ctx.id.id, serviceType, serviceDefaults) : undefined,
  list: (_, parent) => [unset(`${parent.id}/blobServices/default`, serviceType, serviceDefaults)],
};

const accountOf = (ctx: Context) => ctx.need(ctx.id.id.slice(0, ctx.id.key.indexOf('/blobservices/')));

const containers: Kind = {
  type: containerType,
  apiVersions,
  name: /^(\$root|\$web|(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9])$/,
  location: 'none',
  etag: true,
  model: model('BlobContainer'),
  patchModel: model('BlobContainer'),
  rules: [
    { path: 'properties.publicAccess', oneOf: ['None', 'Blob', 'Container'], initial: 'None' },
    { path: 'properties.immutableStorageWithVersioning', immutable: true },
  ],
  put(ctx, body) {
    const account = accountOf(ctx);
    if (body.properties['publicAccess'] !== 'None' && account.properties['allowBlobPublicAccess'] !== true) {
      throw new ArmError(409, 'PublicAccessNotPermitted', 'Public access is not permitted on this storage account.');
    }
    return {
      ...body,
      properties: { leaseStatus: 'Unlocked', leaseState: 'Available', lastModifiedTime: now(), ...body.properties },
    };
  },
  read(ctx, resource) {
    const policy = ctx.get(`${resource.id}/immutabilityPolicies/default`);
    const shown = policy ? { immutabilityPolicy: { etag: policy.etag, properties: policy.properties } } : {};
    return {
      ...resource,
      properties: {
        ...resource.properties,
        hasImmutabilityPolicy: policy !== undefined,
        hasLegalHold: false,
        ...shown,
      },
    };
  },
  remove(ctx, resource) {
    refuseWhileLocked(ctx, ctx.list(policyType, resource.id));
  },
};

const days = 'immutabilityPeriodSinceCreationInDays';

function locked(resource: ArmResource, content: Partial<Json>): ArmResource {
  return { ...resource, properties: { ...resource.properties, ...content, state: 'Locked' } };
}

const immutabilityPolicies: Kind = {
  type: policyType,
  apiVersions,
  name: onlyDefault,
  location: 'none',
  etag: true,
  createdStatus: 200,
  ifMatch: ['DELETE', 'lock', 'extend'],
  model: model('ImmutabilityPolicy'),
  rules: [{ path: `properties.${days}`, required: true, min: 1, max: 146_000 }],
  put(ctx, body, previous) {
    if (previous?.properties['state'] === 'Locked') {
      throw new ArmError(
        409,
        'ContainerImmutabilityPolicyLocked',
        `The immutability policy of '${ctx.id.parent}' is locked; its interval can only be extended (POST …/extend).`,
      );
    }
    return { properties: { allowProtectedAppendWrites: false, ...body.properties, state: 'Unlocked' } };
  },
  remove(ctx, resource) {
    if (resource.properties['state'] === 'Locked') {
      throw new ArmError(
        412,
        'ContainerImmutabilityPolicyLocked',
        `The immutability policy of '${ctx.id.parent}' is locked and can't be deleted.`,
      );
    }
  },
  actions: {
    lock: (ctx, resource) => changed(ctx, locked(resource, {})),
    extend(ctx, resource, body) {
      const asked = (body['properties'] as Json | undefined)?.[days];
      const current = resource.properties[days] as number;
      if (resource.properties['state'] !== 'Locked') {
        throw new ArmError(
          409,
          'ImmutabilityPolicyNotLocked',
          'Only the interval of a locked immutability policy is extended; change an unlocked one by PUT.',
        );
      }
      if (typeof asked !== 'number' || asked <= current || asked > 146_000) {
        const message = `'properties.${days}' is ${JSON.stringify(asked)}; a locked policy can only be extended: allowed is ${current + 1} to 146000.`;
        throw new ArmError(409, 'ImmutabilityPeriodCannotBeDecreased', message);
      }
      return changed(ctx, locked(resource, { [days]: asked }));
    },
  },
};

function changed(ctx: Context, resource: ArmResource): ArmResource {
  const next = { ...resource, etag: `"${randomBytes(8).toString('hex')}"` };
  ctx.save(next);
  return next;
}

const managementPolicies: Kind = {
  type: managementType,
  apiVersions,
  name: onlyDefault,
  location: 'none',
  createdStatus: 200,
  model: model('ManagementPolicy'),
  rules: [{ path: 'properties.policy.rules', required: true }],
  put: (_, body: ArmContent) => ({ properties: { ...body.properties, lastModifiedTime: now() } }),
};

/** Writes the file that the blob layer reads. */
export function writeStorage(store: Store): void {
  const entries = store.list(accountType).map((account) => [account.name, accountState(store, account)] as const);
  writeStorageState({ accounts: Object.fromEntries(entries) });
}

function accountState(store: Store, account: ArmResource) {
  const secrets = store.secrets(account.id);
  const service = store.get(`${account.id}/blobServices/default`)?.properties ?? {};
  const softDelete = (member: string) => {
    const policy = service[member] as { readonly enabled?: boolean; readonly days?: number } | undefined;
    return policy?.enabled ? (policy.days ?? null) : null;
  };
  const policy = store.get(`${account.id}/managementPolicies/default`)?.properties['policy'] as Json | undefined;
  const { properties } = account;
  const byVersion = properties['immutableStorageWithVersioning'] as Json | undefined;
  const policyOfVersions =
    byVersion?.['enabled'] === true ? (byVersion['immutabilityPolicy'] as Json | undefined) : undefined;
  const versionDays = policyOfVersions?.[days] as number | undefined;
  return {
    id: account.id,
    location: account.location as string,
    keys: ['key1', 'key2'].map((keyName) => ({ keyName, value: secrets.get(keyName) ?? '' })),
    allowSharedKeyAccess: properties['allowSharedKeyAccess'] !== false,
    allowBlobPublicAccess: properties['allowBlobPublicAccess'] === true,
    minimumTlsVersion: properties['minimumTlsVersion'] as string,
    versioning: service['isVersioningEnabled'] === true || versionDays !== undefined,
    ...(versionDays === undefined ? {} : { versionDays }),
    deleteRetentionDays: softDelete('deleteRetentionPolicy'),
    containerDeleteRetentionDays: softDelete('containerDeleteRetentionPolicy'),
    containers: Object.fromEntries(
      store.list(containerType, account.id).map((container) => [container.name, containerState(store, container)]),
    ),
    managementRules: (policy?.['rules'] as readonly Json[] | undefined) ?? [],
  };
}

function containerState(store: Store, container: ArmResource): StorageContainer {
  const policy = store.get(`${container.id}/immutabilityPolicies/default`)?.properties;
  const immutability: Immutability | null = policy
    ? {
        days: policy[days] as number,
        locked: policy['state'] === 'Locked',
        allowProtectedAppendWrites:
          policy['allowProtectedAppendWrites'] === true || policy['allowProtectedAppendWritesAll'] === true,
      }
    : null;
  const publicAccess = container.properties['publicAccess'] as StorageContainer['publicAccess'];
  return { id: container.id, publicAccess, immutability, legalHold: false };
}

export const kinds: readonly Kind[] = [accounts, services, containers, immutabilityPolicies, managementPolicies];
