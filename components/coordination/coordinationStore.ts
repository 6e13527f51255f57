import { ResourceGroup } from '@pulumi/azure-native/resources/resourceGroup';
import * as pulumi from '@pulumi/pulumi';
import { mayUseBlobs, type Principal } from '../access/blobAccess';
import type { Options } from '../options';
import { privateStorage } from '../storage/privateStorage';

export interface CoordinationStoreArgs {
  /** A group of its own: it outlives both sites. */
  readonly resourceGroupName: pulumi.Input<string>;
  /** A region outside both sites. */
  readonly location: pulumi.Input<string>;
  /** 3 to 24 lower-case letters and digits, unique in the world. */
  readonly accountName: pulumi.Input<string>;
  readonly containerName: pulumi.Input<string>;
  /** Object ids of the sites' managed identities, by site. */
  readonly identities: Readonly<Record<string, pulumi.Input<string>>>;
  /** Whoever carries out failovers: a person, a group or a pipeline. @default - nobody besides the sites */
  readonly operator?: Principal;
}

/** Days that a deleted blob can be brought back. */
const undeleteDays = 35;

/** Where the sites and the operators find each other while one of the sites is gone: the writer lease and the runs' journal. */
export class CoordinationStore extends pulumi.ComponentResource {
  readonly accountName: pulumi.Output<string>;
  /** Address of the blob service, with a slash at its end. */
  readonly endpoint: pulumi.Output<string>;
  readonly containerName: pulumi.Output<string>;

  constructor(name: string, args: CoordinationStoreArgs, opts?: Options) {
    super('standby:coordination:CoordinationStore', name, {}, opts);
    const group = new ResourceGroup(
      `${name}-group`,
      { resourceGroupName: args.resourceGroupName, location: args.location },
      { parent: this, protect: true },
    );
    const { account, container } = privateStorage(this, name, {
      ...args,
      resourceGroupName: group.name,
      // The loss of one building takes neither lease nor journal away, that of the region leaves a copy of the journal.
      redundancy: 'Standard_GZRS',
      accessTier: 'Hot',
      // The lease is written every second, and each write would leave a version behind.
      versions: false,
      undeleteDays,
    });
    for (const [site, principalId] of Object.entries(args.identities)) {
      mayUseBlobs(this, `${name}-${site}`, container.id, { principalId, principalType: 'ServicePrincipal' });
    }
    if (args.operator !== undefined) mayUseBlobs(this, `${name}-operator`, container.id, args.operator);

    this.accountName = account.name;
    this.endpoint = account.primaryEndpoints.blob;
    this.containerName = container.name;
    this.registerOutputs({ accountName: this.accountName, endpoint: this.endpoint });
  }
}
