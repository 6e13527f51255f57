import { BlobContainerImmutabilityPolicy } from '@pulumi/azure-native/storage/blobContainerImmutabilityPolicy';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';
import { lifecycle, privateStorage, type PrivateStorage, type StoragePlace } from '../storage/privateStorage';

export interface BackupStorageArgs extends StoragePlace {
  /** A region other than the one whose data it keeps. */
  readonly location: pulumi.Input<string>;
  /** Days that nobody can change or delete what was written. */
  readonly retentionDays: pulumi.Input<number>;
}

const containerName = 'backups';

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
      containerName,
      versions: true,
      undeleteDays: args.retentionDays,
    });
    immutability(this, name, args, storage);
    // What is past its time goes by itself; earlier versions too.
    const after = pulumi.output(args.retentionDays).apply((days) => days + 1);
    const actions = {
      baseBlob: { delete: { daysAfterModificationGreaterThan: after } },
      version: { delete: { daysAfterCreationGreaterThan: after } },
    };
    lifecycle(this, name, args, storage, { rule: 'expire', containerName, actions });

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
