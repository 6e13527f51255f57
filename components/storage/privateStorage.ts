/** What every store of blobs here has in common: no key, no public access, TLS, and blobs that can be brought back. */
import { BlobContainer } from '@pulumi/azure-native/storage/blobContainer';
import { BlobServiceProperties } from '@pulumi/azure-native/storage/blobServiceProperties';
import { ManagementPolicy } from '@pulumi/azure-native/storage/managementPolicy';
import { StorageAccount, type StorageAccountArgs } from '@pulumi/azure-native/storage/storageAccount';
import type * as inputs from '@pulumi/azure-native/types/input';
import * as pulumi from '@pulumi/pulumi';

/** Where a store is, and under what name. */
export interface StoragePlace {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  /** 3 to 24 lower-case letters and digits, unique in the world. */
  readonly accountName: pulumi.Input<string>;
  /** One with a second region: Standard_GRS and its like. */
  readonly redundancy: pulumi.Input<string>;
}

export interface PrivateStorageArgs extends StoragePlace {
  readonly accessTier: 'Hot' | 'Cool';
  readonly containerName: pulumi.Input<string>;
  /** Earlier versions of a blob stay when it is written again. */
  readonly versions: boolean;
  /** Days that a deleted blob or container can be brought back; of more than 365 the vendor takes 365. */
  readonly undeleteDays: pulumi.Input<number>;
  /** Every version of every blob has an immutability policy. Only when the account is made. @default - none */
  readonly immutableVersions?: NonNullable<StorageAccountArgs['immutableStorageWithVersioning']>;
}

export interface PrivateStorage {
  readonly account: StorageAccount;
  readonly service: BlobServiceProperties;
  readonly container: BlobContainer;
}

/** @returns an account with one container. What holds data is protected. */
export function privateStorage(parent: pulumi.Resource, name: string, args: PrivateStorageArgs): PrivateStorage {
  const account = storageAccount(parent, name, args);
  const service = blobService(parent, name, args, account);
  return { account, service, container: blobContainer(parent, name, args, account, service) };
}

function storageAccount(parent: pulumi.Resource, name: string, args: PrivateStorageArgs) {
  const { resourceGroupName, location, accountName, redundancy, accessTier, immutableVersions } = args;
  return new StorageAccount(
    `${name}-account`,
    {
      ...{ resourceGroupName, location, accountName, accessTier },
      kind: 'StorageV2',
      sku: { name: redundancy },
      minimumTlsVersion: 'TLS1_2',
      enableHttpsTrafficOnly: true,
      allowBlobPublicAccess: false,
      allowSharedKeyAccess: false,
      defaultToOAuthAuthentication: true,
      allowCrossTenantReplication: false,
      ...(immutableVersions ? { immutableStorageWithVersioning: immutableVersions } : {}),
    },
    { parent, protect: true },
  );
}

/** What the vendor takes. */
const longestUndelete = 365;

function blobService(parent: pulumi.Resource, name: string, args: PrivateStorageArgs, account: StorageAccount) {
  const days = pulumi.output(args.undeleteDays).apply((wanted) => Math.min(wanted, longestUndelete));
  return new BlobServiceProperties(
    `${name}-blobs`,
    {
      resourceGroupName: args.resourceGroupName,
      accountName: account.name,
      blobServicesName: 'default',
      isVersioningEnabled: args.versions,
      deleteRetentionPolicy: { enabled: true, days },
      containerDeleteRetentionPolicy: { enabled: true, days },
    },
    { parent },
  );
}

function blobContainer(
  parent: pulumi.Resource,
  name: string,
  args: PrivateStorageArgs,
  account: StorageAccount,
  service: BlobServiceProperties,
) {
  return new BlobContainer(
    `${name}-container`,
    {
      resourceGroupName: args.resourceGroupName,
      accountName: account.name,
      containerName: args.containerName,
      publicAccess: 'None',
    },
    { parent, protect: true, dependsOn: service },
  );
}

/** What happens to the blobs of a container as they grow old. @param rule - its name. */
export function lifecycle(
  parent: pulumi.Resource,
  name: string,
  { resourceGroupName }: Pick<StoragePlace, 'resourceGroupName'>,
  { account, service }: PrivateStorage,
  {
    rule,
    containerName,
    actions,
  }: {
    readonly rule: string;
    readonly containerName: string;
    readonly actions: inputs.storage.ManagementPolicyActionArgs;
  },
): ManagementPolicy {
  const filters = { blobTypes: ['blockBlob'], prefixMatch: [`${containerName}/`] };
  return new ManagementPolicy(
    `${name}-lifecycle`,
    {
      resourceGroupName,
      accountName: account.name,
      managementPolicyName: 'default',
      policy: { rules: [{ name: rule, enabled: true, type: 'Lifecycle', definition: { filters, actions } }] },
    },
    { parent, dependsOn: service },
  );
}
