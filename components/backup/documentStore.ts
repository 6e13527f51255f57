import * as pulumi from '@pulumi/pulumi';
import { mayUseBlobs, type Principal } from '../access/blobAccess';
import type { Options } from '../options';
import { lifecycle, privateStorage, type StoragePlace } from '../storage/privateStorage';

export interface DocumentStoreArgs extends StoragePlace {
  /** Days that nobody can change or delete a version of a document. */
  readonly retentionDays: pulumi.Input<number>;
  /** Object ids of whoever reads and writes documents: managed identities of applications. @default - nobody */
  readonly writers?: readonly string[];
  /** Whoever brings a version back. @default - nobody */
  readonly operator?: Principal;
  /** Days after which an earlier version is moved to cheaper storage. @default - 30 */
  readonly coolAfterDays?: pulumi.Input<number>;
}

const containerName = 'documents';

/**
 * Customers' documents. Each writing of one is a version, and each version is read-only for its time: a document is worked on as
 * ever, and whatever it was can be had again (`standby estate document`).
 */
export class DocumentStore extends pulumi.ComponentResource {
  readonly accountName: pulumi.Output<string>;
  readonly accountId: pulumi.Output<string>;
  /** Address of the blob service, with a slash at its end. */
  readonly endpoint: pulumi.Output<string>;
  readonly containerName: pulumi.Output<string>;

  constructor(name: string, args: DocumentStoreArgs, opts?: Options) {
    super('standby:backup:DocumentStore', name, {}, opts);
    const storage = privateStorage(this, name, {
      ...args,
      accessTier: 'Hot',
      containerName,
      versions: true,
      undeleteDays: args.retentionDays,
      // Of the account, so of every version: a container's own policy would forbid a document's second version.
      immutableVersions: {
        enabled: true,
        immutabilityPolicy: {
          immutabilityPeriodSinceCreationInDays: args.retentionDays,
          state: 'Unlocked',
          allowProtectedAppendWrites: false,
        },
      },
    });
    // Earlier versions get cheaper; nothing is deleted by itself: a document has no time after which nobody wants it.
    const coolAfter = args.coolAfterDays ?? usualCoolAfterDays;
    const actions = { version: { tierToCool: { daysAfterCreationGreaterThan: coolAfter } } };
    lifecycle(this, name, args, storage, { rule: 'cool', containerName, actions });

    for (const principalId of args.writers ?? []) {
      const writer = { principalId, principalType: 'ServicePrincipal' } as const;
      mayUseBlobs(this, `${name}-${principalId}`, storage.container.id, writer);
    }
    if (args.operator) mayUseBlobs(this, `${name}-operator`, storage.container.id, args.operator);

    this.accountName = storage.account.name;
    this.accountId = storage.account.id;
    this.endpoint = storage.account.primaryEndpoints.blob;
    this.containerName = storage.container.name;
    this.registerOutputs({ accountName: this.accountName, containerName: this.containerName });
  }
}

const usualCoolAfterDays = 30;
