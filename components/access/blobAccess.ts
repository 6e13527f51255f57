import { RoleAssignment } from '@pulumi/azure-native/authorization/roleAssignment';
import * as pulumi from '@pulumi/pulumi';
import { untouched, type Options } from '../options';
import { roleDefinition, roles, stableGuid } from './roles';

export interface Principal {
  /** Object id, not client id. */
  readonly principalId: pulumi.Input<string>;
  readonly principalType: 'User' | 'Group' | 'ServicePrincipal';
}

/** Lets somebody read and write blobs. @param scope - id of the container, or of what it is in. */
export function mayUseBlobs(
  parent: pulumi.Resource,
  name: string,
  scope: pulumi.Input<string>,
  principal: Principal,
  frozen = false,
): RoleAssignment {
  const role = roles.storageBlobDataContributor;
  return new RoleAssignment(
    `${name}-access`,
    {
      scope,
      ...principal,
      roleDefinitionId: roleDefinition(scope, role),
      roleAssignmentName: stableGuid(scope, principal.principalId, role),
    },
    { parent, ...untouched(frozen) },
  );
}

export interface BlobAccessArgs {
  /** Id of the container. */
  readonly scope: pulumi.Input<string>;
  readonly operator: Principal;
  /** Its site can't be reached: it stays as it is. @default - false */
  readonly frozen?: boolean;
}

/** An operator may put backups into a site's storage and read them; what is in it stays for its time all the same. */
export class BlobAccess extends pulumi.ComponentResource {
  constructor(name: string, args: BlobAccessArgs, opts?: Options) {
    super('standby:access:BlobAccess', name, {}, opts);
    mayUseBlobs(this, `${name}-operator`, args.scope, args.operator, args.frozen);
    this.registerOutputs({});
  }
}
