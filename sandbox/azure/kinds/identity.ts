/** Managed identities, what they trust, and who was given which role. */
import { authorizationState } from '../access';
import { ArmError, type ArmResource, type Kind } from '../kind';
import { roles, type Role } from '../roles';
import { subscriptionId, tenantId } from '../tokens';
import { guid, now } from './common';

const msi = (mapper: string) => ({ package: '@azure/arm-msi', mapper });
const msiVersions = ['2023-01-31', '2024-11-30'];
const identityType = 'Microsoft.ManagedIdentity/userAssignedIdentities';

const identities: Kind = {
  type: identityType,
  apiVersions: msiVersions,
  name: /^[a-zA-Z0-9][\w-]{2,127}$/,
  location: 'required',
  model: msi('Identity'),
  patchModel: msi('IdentityUpdate'),
  put(ctx, body, previous) {
    // A new identity of an old name is another principal: rights given to the old one are not its own.
    const born = previous
      ? {}
      : { principalId: guid('principal', ctx.id.id, now()), clientId: guid('client', ctx.id.id, now()) };
    return { ...body, properties: { ...previous?.properties, ...body.properties, tenantId: tenantId(), ...born } };
  },
};

const federatedCredentials: Kind = {
  type: `${identityType}/federatedIdentityCredentials`,
  apiVersions: msiVersions,
  name: /^[a-zA-Z0-9][\w-]{2,119}$/,
  location: 'none',
  model: msi('FederatedIdentityCredential'),
  rules: [
    { path: 'properties.issuer', required: true, pattern: /^https:\/\// },
    { path: 'properties.subject', required: true },
    { path: 'properties.audiences', required: true },
  ],
  put: (_, body) => body,
};

const authorizationVersions = ['2022-04-01', '2020-04-01-preview', '2018-01-01-preview'];
const assignmentType = 'Microsoft.Authorization/roleAssignments';
const definitionType = 'Microsoft.Authorization/roleDefinitions';
const guidForm = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

const lower = (value: unknown) => String(value).toLowerCase();
const within = (inner: string, outer: string) => inner === outer || inner.startsWith(outer + '/');

/** @returns the value of `name eq 'value'` in a `$filter` */
const filtered = (query: URLSearchParams, name: string) =>
  new RegExp(`${name}\\s*(?:eq\\s*|\\(\\s*)'([^']*)'`, 'i').exec(query.get('$filter') ?? '')?.[1]?.toLowerCase();

const assignments: Kind = {
  type: assignmentType,
  apiVersions: authorizationVersions,
  name: guidForm,
  location: 'none',
  model: { package: '@azure/arm-authorization', mapper: 'RoleAssignmentCreateParameters' },
  rules: [
    { path: 'properties.roleDefinitionId', immutable: true, code: 'RoleAssignmentUpdateNotPermitted' },
    { path: 'properties.principalId', immutable: true, pattern: guidForm, code: 'RoleAssignmentUpdateNotPermitted' },
    {
      path: 'properties.principalType',
      oneOf: ['User', 'Group', 'ServicePrincipal', 'ForeignGroup', 'Device'],
      initial: 'ServicePrincipal',
    },
  ],
  put(ctx, body, previous) {
    const { roleDefinitionId, principalId, principalType } = body.properties;
    const role = roles.get(lower(roleDefinitionId).split('/').at(-1) as string);
    if (!role) {
      throw new ArmError(
        400,
        'RoleDefinitionDoesNotExist',
        `The specified role definition with ID '${String(roleDefinitionId)}' does not exist.`,
      );
    }
    // People and groups are in no directory here; what is a service principal must be one that exists.
    if (
      principalType === 'ServicePrincipal' &&
      !Object.keys(authorizationState().principals).some((each) => lower(each) === lower(principalId))
    ) {
      const message = `Principal ${String(principalId)} does not exist in the directory ${tenantId()}. Check that you have the correct principal ID.`;
      throw new ArmError(400, 'PrincipalNotFound', message);
    }
    const same = (other: ArmResource) =>
      lower(other.properties['scope']) === lower(ctx.id.scope) &&
      lower(other.properties['principalId']) === lower(principalId) &&
      lower(other.properties['roleDefinitionId']).endsWith(role.id);
    const twin = ctx.list(assignmentType).find((other) => other.id.toLowerCase() !== ctx.id.key && same(other));
    if (twin)
      throw new ArmError(
        409,
        'RoleAssignmentExists',
        `The role assignment already exists. The ID of the existing role assignment is ${twin.name.replaceAll('-', '')}.`,
      );
    const { createdOn = now() } = (previous?.properties ?? {}) as { readonly createdOn?: string };
    return { ...body, properties: { ...body.properties, scope: ctx.id.scope, createdOn, updatedOn: now() } };
  },
  inList(resource, scope, query) {
    const [at, asked] = [lower(resource.properties['scope']), lower(scope)];
    const principal = filtered(query, 'principalId') ?? filtered(query, 'assignedTo');
    if (principal && principal !== lower(resource.properties['principalId'])) return false;
    return within(asked, at) || (!/atScope\(\)/i.test(query.get('$filter') ?? '') && within(at, asked));
  },
};

const definition = (role: Role): ArmResource => ({
  id: `/subscriptions/${subscriptionId()}/providers/${definitionType}/${role.id}`,
  name: role.id,
  type: definitionType,
  properties: {
    roleName: role.roleName,
    type: 'BuiltInRole',
    description: role.description,
    assignableScopes: ['/'],
    permissions: [
      {
        actions: role.actions,
        notActions: role.notActions,
        dataActions: role.dataActions,
        notDataActions: role.notDataActions,
      },
    ],
  },
});

const definitions: Kind = {
  type: definitionType,
  apiVersions: [...authorizationVersions, '2022-05-01-preview'],
  location: 'none',
  refused: ['PUT', 'DELETE'],
  find(_, name) {
    const role = roles.get(name.toLowerCase());
    return role && definition(role);
  },
  listAt(_, query) {
    const asked = filtered(query, 'roleName');
    return [...roles.values()].filter((role) => !asked || role.roleName.toLowerCase() === asked).map(definition);
  },
};

export const kinds: readonly Kind[] = [identities, federatedCredentials, assignments, definitions];
