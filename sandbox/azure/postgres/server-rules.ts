/** What the vendor allows of a flexible server, beyond what its model says. */
import { ArmError, type ArmContent, type Json, type Rule } from '../kind';
import { majorVersion } from './programs';

export const serverType = 'Microsoft.DBforPostgreSQL/flexibleServers';
export const passwordPath = 'properties.administratorLoginPassword';

/** Those that the vendor's current clients send; older ones have other bodies. */
export const apiVersions = ['2025-08-01', '2026-01-01-preview'] as const;

const createModes = ['Default', 'Create', 'Update', 'PointInTimeRestore', 'GeoRestore', 'Replica', 'ReviveDropped'];
const storageSizes = [32, 64, 128, 256, 512, 1024, 2048, 4095, 4096, 8192, 16384, 32767, 32768];
const reservedLogins =
  /^(azure_superuser|azuresu|azure_pg_admin|azure_replication|admin|administrator|root|guest|public|postgres|replication)$/i;

export const serverRules: readonly Rule[] = [
  { path: 'properties.createMode', oneOf: createModes },
  { path: 'properties.version', oneOf: ['11', '12', '13', '14', '15', '16', '17', '18'], immutable: true },
  { path: 'sku.tier', oneOf: ['Burstable', 'GeneralPurpose', 'MemoryOptimized'] },
  { path: 'properties.administratorLogin', pattern: /^[A-Za-z_][A-Za-z0-9_]{0,62}$/, immutable: true },
  { path: 'properties.storage.storageSizeGB', oneOf: storageSizes },
  { path: 'properties.storage.autoGrow', oneOf: ['Enabled', 'Disabled'] },
  { path: 'properties.backup.backupRetentionDays', min: 7, max: 35, initial: 7 },
  {
    path: 'properties.backup.geoRedundantBackup',
    oneOf: ['Enabled', 'Disabled'],
    initial: 'Disabled',
    immutable: true,
  },
  { path: 'properties.highAvailability.mode', oneOf: ['Disabled', 'ZoneRedundant', 'SameZone'], initial: 'Disabled' },
  { path: 'properties.network.publicNetworkAccess', oneOf: ['Enabled', 'Disabled'], initial: 'Enabled' },
  { path: 'properties.authConfig.passwordAuth', oneOf: ['Enabled', 'Disabled'], initial: 'Enabled' },
  { path: 'properties.authConfig.activeDirectoryAuth', oneOf: ['Enabled', 'Disabled'], initial: 'Disabled' },
  { path: 'properties.dataEncryption.type', oneOf: ['SystemManaged', 'AzureKeyVault'], initial: 'SystemManaged' },
  { path: 'properties.sourceServerResourceId', immutable: true },
  // An empty zone is no preference: @pulumi/azure-native sends it by default.
  { path: 'properties.availabilityZone', oneOf: ['', '1', '2', '3'], immutable: true },
  { path: 'properties.replica.role', oneOf: ['None', 'Primary', 'AsyncReplica', 'GeoAsyncReplica'] },
  { path: 'properties.replica.promoteMode', oneOf: ['Standalone', 'Switchover'] },
  { path: 'properties.replica.promoteOption', oneOf: ['Planned', 'Forced'] },
];

export const refuse = (code: string, message: string, status = 400) => new ArmError(status, code, message);

/** @returns an object member of the properties, empty when there is none */
export const part = (content: Json, name: string): Json => (content[name] ?? {}) as Json;

/** @returns a string member, nothing for anything else */
export const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** Word of an enum, in lower case: the vendor does not mind the casing. */
export const word = (value: unknown): string => (typeof value === 'string' ? value.toLowerCase() : '');

const tiers: readonly (readonly [tier: string, sku: RegExp])[] = [
  ['Burstable', /^Standard_B\d+(ms|s)$/],
  ['GeneralPurpose', /^Standard_D\d+[a-z]*s(_v\d)?$/],
  ['MemoryOptimized', /^Standard_E\d+[a-z]*s(_v\d)?$/],
];

function checkSku(body: ArmContent): void {
  const { name, tier } = part(body, 'sku');
  const pattern = tiers.find(([each]) => word(each) === word(tier))?.[1];
  if (!pattern)
    throw refuse('InvalidParameterValue', `Parameter 'sku' is missing or has no tier; set sku.name and sku.tier.`);
  if (!pattern.test(String(name))) {
    throw refuse(
      'InvalidParameterValue',
      `The sku '${String(name)}' is not of the tier '${String(tier)}', whose names match ${pattern}.`,
    );
  }
}

/** Functions of the vendor that have nothing behind them here are refused, not pretended. */
function checkSupported(properties: Json): void {
  const unsupported: readonly (readonly [boolean, string])[] = [
    [
      word(part(properties, 'highAvailability')['mode']) !== 'disabled',
      "properties.highAvailability.mode must be 'Disabled'",
    ],
    [
      part(properties, 'network')['delegatedSubnetResourceId'] !== undefined,
      'properties.network.delegatedSubnetResourceId must be absent (public access)',
    ],
    [
      word(part(properties, 'authConfig')['activeDirectoryAuth']) !== 'disabled',
      "properties.authConfig.activeDirectoryAuth must be 'Disabled'",
    ],
    [
      word(part(properties, 'authConfig')['passwordAuth']) !== 'enabled',
      "properties.authConfig.passwordAuth must be 'Enabled'",
    ],
    [
      word(part(properties, 'dataEncryption')['type']) !== 'systemmanaged',
      "properties.dataEncryption.type must be 'SystemManaged'",
    ],
    [properties['cluster'] !== undefined, 'properties.cluster must be absent'],
  ];
  const found = unsupported.find(([is]) => is);
  if (found) throw refuse('FeatureNotSupported', `This sandbox can't do that: ${found[1]}.`);
}

/**
 * @param before - what the server has, or what the one has that it is made from: its properties.
 * @throws ArmError 400 when it can't become what the body says
 */
export function checkChange({ properties }: ArmContent, before: Json): void {
  const size = (content: Json) => Number(part(content, 'storage')['storageSizeGB'] ?? 0);
  if (size(properties) < size(before)) {
    throw refuse(
      'InvalidParameterValue',
      `The storage can't be made smaller: it is ${size(before)} GB, the request has ${size(properties)} GB.`,
    );
  }
}

/** What holds of a server that is new or changed, once what it inherits is filled in. @throws ArmError 400 */
export async function checkServer(body: ArmContent): Promise<void> {
  const { properties } = body;
  checkSku(body);
  checkSupported(properties);
  const version = await majorVersion();
  if (properties['version'] !== version) {
    const got = text(properties['version']) ?? 'missing';
    throw refuse(
      'InvalidParameterValue',
      `The value of 'properties.version' is '${got}'; this sandbox has PostgreSQL ${version} only.`,
    );
  }
  if (part(properties, 'storage')['storageSizeGB'] === undefined) {
    throw refuse(
      'InvalidParameterValue',
      `The value of 'properties.storage.storageSizeGB' is missing; allowed: ${storageSizes.join(', ')}.`,
    );
  }
}

/** @throws ArmError 400 */
export function checkAdministrator(login: unknown, password: string | undefined): void {
  if (typeof login !== 'string')
    throw refuse('InvalidParameterValue', "The value of 'properties.administratorLogin' is missing; it is required.");
  if (reservedLogins.test(login) || /^(pg|azure)_/i.test(login)) {
    throw refuse('InvalidParameterValue', `The administrator login '${login}' is reserved; choose one that is not.`);
  }
  checkPassword(login, password);
}

/** @throws ArmError 400; the message never holds the password */
export function checkPassword(login: string, password: string | undefined): void {
  if (password === undefined)
    throw refuse('InvalidParameterValue', `The value of '${passwordPath}' is missing; it is required.`);
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z0-9]/].filter((kind) => kind.test(password)).length;
  if (
    password.length < 8 ||
    password.length > 128 ||
    kinds < 3 ||
    password.toLowerCase().includes(login.toLowerCase())
  ) {
    throw refuse(
      'PasswordTooWeak',
      "The administrator's password must have 8 to 128 characters of three of: lower case, upper case, digits, others; and not contain the login.",
    );
  }
}
