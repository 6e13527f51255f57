import { FederatedIdentityCredential } from '@pulumi/azure-native/managedidentity/federatedIdentityCredential';
import { UserAssignedIdentity } from '@pulumi/azure-native/managedidentity/userAssignedIdentity';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';

export interface SiteIdentityArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  readonly identityName: pulumi.Input<string>;
  /** Who signs the tokens of the cluster's service accounts. */
  readonly issuer: pulumi.Input<string>;
  /** Service account that may be the identity: namespace and name. */
  readonly serviceAccount: { readonly namespace: string; readonly name: string };
}

/** Audience that the vendor's login asks a federated token to have. */
const audience = 'api://AzureADTokenExchange';

/** What a site is to the vendor. One service account of the site's cluster may be it, without a secret. */
export class SiteIdentity extends pulumi.ComponentResource {
  readonly principalId: pulumi.Output<string>;
  readonly clientId: pulumi.Output<string>;
  readonly tenantId: pulumi.Output<string>;

  constructor(name: string, args: SiteIdentityArgs, opts?: Options) {
    super('standby:access:SiteIdentity', name, {}, opts);
    const identity = new UserAssignedIdentity(
      `${name}-identity`,
      { resourceGroupName: args.resourceGroupName, location: args.location, resourceName: args.identityName },
      // It was made without this component; another one would be another principal.
      { parent: this, aliases: [{ name, parent: pulumi.rootStackResource }] },
    );
    const { namespace, name: account } = args.serviceAccount;
    new FederatedIdentityCredential(
      `${name}-agent`,
      {
        resourceGroupName: args.resourceGroupName,
        resourceName: identity.name,
        federatedIdentityCredentialResourceName: account,
        issuer: args.issuer,
        subject: `system:serviceaccount:${namespace}:${account}`,
        audiences: [audience],
      },
      { parent: this },
    );

    this.principalId = identity.principalId;
    this.clientId = identity.clientId;
    this.tenantId = identity.tenantId;
    this.registerOutputs({ principalId: this.principalId, clientId: this.clientId, tenantId: this.tenantId });
  }
}
