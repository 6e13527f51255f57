import { BlobContainer } from '@pulumi/azure-native/storage/blobContainer';
import { BlobContainerImmutabilityPolicy } from '@pulumi/azure-native/storage/blobContainerImmutabilityPolicy';
import { BlobServiceProperties } from '@pulumi/azure-native/storage/blobServiceProperties';
import { ManagementPolicy } from '@pulumi/azure-native/storage/managementPolicy';
import { StorageAccount } from '@pulumi/azure-native/storage/storageAccount';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';

export interface BackupStorageArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  /** A region other than the one whose data it keeps. */
  readonly location: pulumi.Input<string>;
  /** 3 to 24 lower-case letters and digits, unique in the world. */
  readonly accountName: pulumi.Input<string>;
  /** One with a second region: Standard_GRS and its like. */
  readonly redundancy: pulumi.Input<string>;
  /** Days that nobody can change or delete what was written. */
  readonly retentionDays: pulumi.Input<number>;
}

/** Storage for offsite copies: written once, read by identity only, kept for its time by nobody's leave. */
export class BackupStorage extends pulumi.ComponentResource {
  readonly accountName: pulumi.Output<string>;
  readonly accountId: pulumi.Output<string>;
  readonly containerName: pulumi.Output<string>;

  constructor(name: string, args: BackupStorageArgs, opts?: Options) {
    super('standby:backup:BackupStorage', name, {}, opts);
    const account = storageAccount(this, name, args);
    const versions = versioning(this, name, args, account);
    const container = backupContainer(this, name, args, account, versions);
    immutability(this, name, args, account, container);
    lifecycle(this, name, args, account, versions);

    this.accountName = account.name;
    this.accountId = account.id;
    this.containerName = container.name;
    this.registerOutputs({ accountName: this.accountName, containerName: this.containerName });
  }
}

function storageAccount(parent: pulumi.Resource, name: string, args: BackupStorageArgs) {
  return new StorageAccount(
    `${name}-account`,
    {
      resourceGroupName: args.resourceGroupName,
      location: args.location,
      accountName: args.accountName,
      kind: 'StorageV2',
      sku: { name: args.redundancy },
      accessTier: 'Cool',
      minimumTlsVersion: 'TLS1_2',
      enableHttpsTrafficOnly: true,
      allowBlobPublicAccess: false,
      allowSharedKeyAccess: false,
      defaultToOAuthAuthentication: true,
      allowCrossTenantReplication: false,
    },
    { parent, protect: true },
  );
}

function versioning(parent: pulumi.Resource, name: string, args: BackupStorageArgs, account: StorageAccount) {
  return new BlobServiceProperties(
    `${name}-blobs`,
    {
      resourceGroupName: args.resourceGroupName,
      accountName: account.name,
      blobServicesName: 'default',
      isVersioningEnabled: true,
      deleteRetentionPolicy: { enabled: true, days: args.retentionDays },
      containerDeleteRetentionPolicy: { enabled: true, days: args.retentionDays },
    },
    { parent },
  );
}

function backupContainer(
  parent: pulumi.Resource,
  name: string,
  args: BackupStorageArgs,
  account: StorageAccount,
  versions: BlobServiceProperties,
) {
  return new BlobContainer(
    `${name}-container`,
    {
      resourceGroupName: args.resourceGroupName,
      accountName: account.name,
      containerName: 'backups',
      publicAccess: 'None',
    },
    { parent, protect: true, dependsOn: versions },
  );
}

function immutability(
  parent: pulumi.Resource,
  name: string,
  args: BackupStorageArgs,
  account: StorageAccount,
  container: BlobContainer,
) {
  return new BlobContainerImmutabilityPolicy(
    `${name}-immutability`,
    {
      resourceGroupName: args.resourceGroupName,
      accountName: account.name,
      containerName: container.name,
      immutabilityPolicyName: 'default',
      immutabilityPeriodSinceCreationInDays: args.retentionDays,
      allowProtectedAppendWrites: false,
    },
    // Once a person has locked it, the vendor refuses to delete it.
    { parent, retainOnDelete: true },
  );
}

/** What is past its time goes by itself; earlier versions too. */
function lifecycle(
  parent: pulumi.Resource,
  name: string,
  args: BackupStorageArgs,
  account: StorageAccount,
  versions: BlobServiceProperties,
) {
  const after = pulumi.output(args.retentionDays).apply((days) => days + 1);
  return new ManagementPolicy(
    `${name}-lifecycle`,
    {
      resourceGroupName: args.resourceGroupName,
      accountName: account.name,
      managementPolicyName: 'default',
      policy: {
        rules: [
          {
            name: 'expire',
            enabled: true,
            type: 'Lifecycle',
            definition: {
              filters: { blobTypes: ['blockBlob'], prefixMatch: ['backups/'] },
              actions: {
                baseBlob: { delete: { daysAfterModificationGreaterThan: after } },
                version: { delete: { daysAfterCreationGreaterThan: after } },
              },
            },
          },
        ],
      },
    },
    { parent, dependsOn: versions },
  );
}
