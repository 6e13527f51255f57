/** The kinds of values that a configuration is made of. Each says what it allows and how to put a wrong one right. */
import { z } from 'zod';
import type { Issue } from './issues';
import { eeaRegionNames } from './regions';

export const sites = ['prod', 'intg'] as const;
export type Site = (typeof sites)[number];
export const otherSite = (site: Site): Site => (site === 'prod' ? 'intg' : 'prod');

/** The applications that a platform is made of; `idp` is the identity provider behind the same front. */
export const apps = ['admin', 'api', 'id', 'static', 'survey'] as const;
export type App = (typeof apps)[number];
export const hostNames = ['admin', 'api', 'id', 'idp', 'static', 'survey'] as const;
export type HostName = (typeof hostNames)[number];
/** Public host name of each application and of the identity provider. */
export type Hosts = Readonly<Record<HostName, string>>;

export interface FieldNote {
  readonly description: string;
  /** In words, for people: it is printed when a value is refused. */
  readonly allowed: string;
  /** @default - `set it to one of the allowed values` */
  readonly fix?: string;
}

/** Attaches what a person reads to a schema. Goes last, after `default` and `optional`. */
export const field = <S extends z.ZodType>(schema: S, note: FieldNote): S => schema.meta({ ...note });

export const text = (pattern: RegExp, note: FieldNote) => field(z.string().regex(pattern), note);
export function whole(minimum: number, maximum: number, description: string): z.ZodInt;
export function whole(minimum: number, maximum: number, description: string, fallback: number): z.ZodDefault<z.ZodInt>;
export function whole(minimum: number, maximum: number, description: string, fallback?: number) {
  const schema = z.int().min(minimum).max(maximum);
  const note = { description, allowed: `a whole number from ${minimum} to ${maximum}` };
  return fallback === undefined ? field(schema, note) : field(schema.default(fallback), note);
}
export const oneOf = <const T extends readonly [string, ...string[]]>(values: T, description: string) =>
  field(z.enum(values), { description, allowed: values.join(', ') });

const redundancies = ['Standard_GRS', 'Standard_RAGRS', 'Standard_GZRS', 'Standard_RAGZRS'] as const;
export const redundancy = (what: string, fallback: (typeof redundancies)[number]) =>
  field(z.enum(redundancies).default(fallback), {
    description: `${what}: all of them reach a second region.`,
    allowed: redundancies.join(', '),
  });

export const region = (description: string) =>
  field(z.enum(eeaRegionNames), {
    description,
    allowed: `an Azure region in the European Economic Area: ${eeaRegionNames.join(', ')}`,
    fix: 'choose a region of that list',
  });

export const cidr = (description: string) =>
  text(/^(\d{1,3}\.){3}\d{1,3}\/([89]|1\d|2[0-8])$/, {
    description,
    allowed: 'an IPv4 range from /8 to /28, such as 10.10.0.0/16',
    fix: 'write the range as address/length',
  });

export const email = (description: string) =>
  field(z.email(), {
    description,
    allowed: 'an email address',
    fix: 'write the address of a mailbox that somebody reads at night',
  });

export const image = (description: string) =>
  text(/^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._-]+)+:[\w.-]+@sha256:[0-9a-f]{64}$/, {
    description,
    allowed: 'REGISTRY/NAME:VERSION@sha256:DIGEST (64 hexadecimal digits)',
    fix: 'pin the image: append @sha256: and its digest',
  });

const domain = /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$/;
export const zone = text(domain, {
  description: 'Public zone at Cloudflare that the hosts are in.',
  allowed: 'a domain name in lower case, such as moodtalk.ch',
  fix: 'write the name of the zone',
});

const host = (name: HostName) =>
  text(domain, {
    description:
      name === 'idp' ? 'Public host of the identity provider.' : `Public host of the application \`${name}\`.`,
    allowed: 'a host name in the zone, in lower case',
    fix: `write a name such as ${name}.moodtalk.ch`,
  });
export const hosts = field(
  z.strictObject({
    admin: host('admin'),
    api: host('api'),
    id: host('id'),
    idp: host('idp'),
    static: host('static'),
    survey: host('survey'),
  }),
  { description: 'Public hosts, one per application and one for the identity provider.', allowed: 'six host names' },
);

export const company = text(/^[a-z][a-z0-9]{1,10}$/, {
  description: 'Short name that every resource name contains: `psql-<company>-prod`.',
  allowed: '2 to 11 lower-case letters and digits, a letter first',
  fix: 'shorten the name, drop everything else',
});

export const address = text(/^(?!0\.)((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)$/, {
  description: 'A single address.',
  allowed: 'an IPv4 address such as 203.0.113.7; not 0.0.0.0, which admits every tenant of Azure',
  fix: 'write one address per entry',
});

/** @returns an issue for each host that the zone can't answer for. */
export const hostsOutside = (zoneName: string, all: Hosts): Issue[] =>
  hostNames.flatMap((name) =>
    all[name].endsWith(`.${zoneName}`)
      ? []
      : [
          {
            key: `hosts.${name}`,
            got: all[name],
            allowed: `a name that ends in .${zoneName}`,
            fix: `set it to ${name}.${zoneName}, or change standby:zone`,
          },
        ],
  );
