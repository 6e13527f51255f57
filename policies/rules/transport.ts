import { defineRule, read, readLower, text, type Resource, type Violation } from '../rule';

const oneTwo = /^(TLS)?v?1[._][23]$/i;

/** Per type: property → what it must be. A property that may stay unset has a safe default at the vendor. */
interface Demand {
  readonly property: string;
  readonly fits: RegExp;
  readonly limit: string;
  readonly unsetIsSafe?: true;
}
const demands: Readonly<Record<string, readonly Demand[]>> = {
  'azure-native:storage:StorageAccount': [
    { property: 'minimumTlsVersion', fits: oneTwo, limit: '"TLS1_2" or "TLS1_3"' },
    { property: 'enableHttpsTrafficOnly', fits: /^true$/, limit: 'true', unsetIsSafe: true },
  ],
  'azure-native:sql:Server': [{ property: 'minimalTlsVersion', fits: oneTwo, limit: '"1.2" or "1.3"' }],
  'azure-native:app:ContainerApp': [
    { property: 'configuration.ingress.allowInsecure', fits: /^false$/, limit: 'false', unsetIsSafe: true },
  ],
};

/** Server parameters of PostgreSQL that can weaken transport; both are safe while nobody sets them. */
const parameters: Readonly<Record<string, Demand>> = {
  require_secure_transport: { property: 'value', fits: /^on$/i, limit: '"on"' },
  ssl_min_protocol_version: { property: 'value', fits: oneTwo, limit: '"TLSv1.2" or "TLSv1.3"' },
};
const zoneSettings: Readonly<Record<string, Demand>> = {
  min_tls_version: { property: 'value', fits: oneTwo, limit: '"1.2" or "1.3"' },
  ssl: { property: 'value', fits: /^(full|strict)$/, limit: '"full" or "strict"' },
};
const parameter = 'azure-native:dbforpostgresql:Configuration';
const zoneSetting = 'cloudflare:index/zoneSetting:ZoneSetting';

function demandsOn(resource: Resource): readonly Demand[] {
  const one = (demand: Demand | undefined) => (demand ? [demand] : []);
  if (resource.type === parameter) {
    return one(parameters[readLower(resource.props, 'configurationName') || resource.name]);
  }
  if (resource.type === zoneSetting) return one(zoneSettings[readLower(resource.props, 'settingId')]);
  return demands[resource.type] ?? [];
}

export const tls = defineRule({
  name: 'tls',
  description: 'Connections are encrypted, with TLS 1.2 or newer',
  standard: 'ISO/IEC 27001:2022 A.8.24 (use of cryptography); GDPR Art. 32(1)(a)',
  scope: 'resource',
  types: [...Object.keys(demands), parameter, zoneSetting],
  settings: {},
  *check(resource): Iterable<Violation> {
    for (const { property, fits, limit, unsetIsSafe } of demandsOn(resource)) {
      const value = read(resource.props, property);
      if (value === undefined ? !unsetIsSafe : !fits.test(text(value))) yield { property, value, limit };
    }
  },
});
