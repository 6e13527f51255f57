import { RoleAssignment } from '@pulumi/azure-native/authorization/roleAssignment';
import * as pulumi from '@pulumi/pulumi';
import { untouched, type Options } from '../options';
import { roleDefinition, roles, stableGuid } from './roles';

export interface ReaderGrantArgs {
  /** Id of the resource group that may be read. */
  readonly scope: pulumi.Input<string>;
  /** Principal id (not client id) of the managed identity that may read it. */
  readonly principalId: pulumi.Input<string>;
  /** Somebody it concerns can't be reached: it stays as it is. @default - false */
  readonly frozen?: boolean;
}

/**
 * A site's identity may read one resource group: that of the database which the site works on. It always exists and moves with
 * the site's role, so that closing it never depends on anyone remembering that it was open.
 */
export class ReaderGrant extends pulumi.ComponentResource {
  readonly assignmentName: pulumi.Output<string>;

  constructor(name: string, args: ReaderGrantArgs, opts?: Options) {
    super('standby:access:ReaderGrant', name, {}, opts);
    const assignment = new RoleAssignment(
      `${name}-reader`,
      {
        scope: args.scope,
        principalId: args.principalId,
        principalType: 'ServicePrincipal',
        roleDefinitionId: roleDefinition(args.scope, roles.reader),
        roleAssignmentName: stableGuid(args.scope, args.principalId, roles.reader),
      },
      { parent: this, ...untouched(args.frozen) },
    );
    this.assignmentName = assignment.name;
    this.registerOutputs({ assignmentName: this.assignmentName });
  }
}
