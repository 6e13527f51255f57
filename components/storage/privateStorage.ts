/** What every store of blobs here has in common: no key, no public access, TLS, and blobs that can be brought back. */
import { BlobContainer } from '@pulumi/azure-native/storage/blobContainer';
import { BlobServiceProperties } from '@pulumi/azure-native/storage/blobServiceProperties';
import { StorageAccount, type StorageAccountArgs } from '@pulumi/azure-native/storage/storageAccount';
import type * as pulumi from '@pulumi/pulumi';

export interface PrivateStorageArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  /** 3 to 24 lower-case letters and digits, unique in the world. */
  readonly accountName: pulumi.Input<string>;
  readonly redundancy: pulumi.Input<string>;
  readonly accessTier: 'Hot' | 'Cool';
  readonly containerName: pulumi.Input<string>;
  /** Earlier versions of a blob stay when it is written again. */
  readonly versions: boolean;
  /** Days that a deleted blob or container can be brought back. */
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

function blobService(parent: pulumi.Resource, name: string, args: PrivateStorageArgs, account: StorageAccount) {
  return new BlobServiceProperties(
    `${name}-blobs`,
    {
      resourceGroupName: args.resourceGroupName,
      accountName: account.name,
      blobServicesName: 'default',
      isVersioningEnabled: args.versions,
      deleteRetentionPolicy: { enabled: true, days: args.undeleteDays },
      containerDeleteRetentionPolicy: { enabled: true, days: args.undeleteDays },
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
