/** The built-in roles that the sandbox knows, with the vendor's names, ids and actions. */

export interface Role {
  readonly id: string;
  readonly roleName: string;
  readonly description: string;
  readonly actions: readonly string[];
  readonly notActions: readonly string[];
  readonly dataActions: readonly string[];
  readonly notDataActions: readonly string[];
}

const blobs = 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs';
const containers = 'Microsoft.Storage/storageAccounts/blobServices/containers';
const delegationKey = 'Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action';
const cluster = 'Microsoft.ContainerService/managedClusters';

type Row = readonly [id: string, roleName: string, description: string, more: Partial<Role>];

const rows: readonly Row[] = [
  [
    '8e3af657-a8ff-443c-a75c-2fe8c4bcb635',
    'Owner',
    'Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.',
    { actions: ['*'] },
  ],
  [
    'b24988ac-6180-42a0-ab88-20f7382dd24c',
    'Contributor',
    'Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC.',
    {
      actions: ['*'],
      notActions: [
        'Microsoft.Authorization/*/Delete',
        'Microsoft.Authorization/*/Write',
        'Microsoft.Authorization/elevateAccess/Action',
      ],
    },
  ],
  [
    'acdd72a7-3385-48ef-bd42-f606fba81ae7',
    'Reader',
    'View all resources, but does not allow you to make any changes.',
    { actions: ['*/read'] },
  ],
  [
    '18d7d88d-d35e-4fb5-a5c3-7773c20a72d9',
    'User Access Administrator',
    'Lets you manage user access to Azure resources.',
    { actions: ['*/read', 'Microsoft.Authorization/*'] },
  ],
  [
    'ba92f5b4-2d11-453d-a403-e96b0029c9fe',
    'Storage Blob Data Contributor',
    'Allows for read, write and delete access to Azure Storage blob containers and data',
    {
      actions: [`${containers}/delete`, `${containers}/read`, `${containers}/write`, delegationKey],
      dataActions: ['delete', 'read', 'write', 'move/action', 'add/action'].map((action) => `${blobs}/${action}`),
    },
  ],
  [
    '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1',
    'Storage Blob Data Reader',
    'Allows for read access to Azure Storage blob containers and data',
    { actions: [`${containers}/read`, delegationKey], dataActions: [`${blobs}/read`] },
  ],
  [
    'b7e6dc6d-f1e8-4753-8033-0f276bb0955b',
    'Storage Blob Data Owner',
    'Allows for full access to Azure Storage blob containers and data, including assigning POSIX access control.',
    { actions: [`${containers}/*`, delegationKey], dataActions: [`${blobs}/*`] },
  ],
  [
    '4d97b98b-1d4f-4787-a291-c67834d212e7',
    'Network Contributor',
    'Lets you manage networks, but not access to them.',
    {
      actions: [
        'Microsoft.Authorization/*/read',
        'Microsoft.Network/*',
        'Microsoft.Resources/subscriptions/resourceGroups/read',
      ],
    },
  ],
  [
    'b12aa53e-6015-4669-85d0-8515ebb3ae7f',
    'Private DNS Zone Contributor',
    'Lets you manage private DNS zone resources, but not the virtual networks they are linked to.',
    {
      actions: [
        'Microsoft.Authorization/*/read',
        'Microsoft.Network/privateDnsZones/*',
        'Microsoft.Network/virtualNetworks/read',
        'Microsoft.Network/virtualNetworks/join/action',
        'Microsoft.Resources/subscriptions/resourceGroups/read',
      ],
    },
  ],
  [
    '43d0d8ad-25c7-4714-9337-8ba259a9fe05',
    'Monitoring Reader',
    'Can read all monitoring data.',
    { actions: ['*/read', 'Microsoft.OperationalInsights/workspaces/search/action'] },
  ],
  [
    '0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8',
    'Azure Kubernetes Service Cluster Admin Role',
    'List cluster admin credential action.',
    { actions: [`${cluster}/listClusterAdminCredential/action`, `${cluster}/read`] },
  ],
  [
    '4abbcc35-e782-43d8-92c5-2d3f1bd2253f',
    'Azure Kubernetes Service Cluster User Role',
    'List cluster user credential action.',
    { actions: [`${cluster}/listClusterUserCredential/action`, `${cluster}/read`] },
  ],
];

/** By id (lower case). */
export const roles: ReadonlyMap<string, Role> = new Map(
  rows.map(([id, roleName, description, more]) => [
    id,
    { id, roleName, description, actions: [], notActions: [], dataActions: [], notDataActions: [], ...more },
  ]),
);
