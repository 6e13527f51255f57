import { BlobContainerImmutabilityPolicy } from '@pulumi/azure-native/storage/blobContainerImmutabilityPolicy';
import { ManagementPolicy } from '@pulumi/azure-native/storage/managementPolicy';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';
import { privateStorage, type PrivateStorage } from '../storage/privateStorage';

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
    const storage = privateStorage(this, name, {
      ...args,
      accessTier: 'Cool',
      containerName: 'backups',
      versions: true,
      undeleteDays: args.retentionDays,
    });
    immutability(this, name, args, storage);
    lifecycle(this, name, args, storage);

    this.accountName = storage.account.name;
    this.accountId = storage.account.id;
    this.containerName = storage.container.name;
    this.registerOutputs({ accountName: this.accountName, containerName: this.containerName });
  }
}

function immutability(
  parent: pulumi.Resource,
  name: string,
  args: BackupStorageArgs,
  { account, container }: PrivateStorage,
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
  { account, service }: PrivateStorage,
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
    { parent, dependsOn: service },
  );
}
