/** Configuration of the stack `drill`: INTG in isolation, on a copy of production's data, until a stated time. Written by `standby drill`. */
import { z } from 'zod';
import { failoverSchema } from './failover';
import * as f from './fields';
import type { Check, Issue } from './issues';
import { StackOutputError } from './outputs';

const { company, zone, release, image } = failoverSchema.shape;

const moment = (description: string) =>
  f.field(z.iso.datetime(), {
    description,
    allowed: 'a time in UTC such as 2026-01-31T22:00:00Z',
    fix: 'let `standby drill` write it',
  });

/** Longest life of a drill: a copy of production's data is not kept by accident. */
export const longestDrillHours = 24;

export const drillSchema = z.strictObject({
  company,
  zone,
  hosts: f.hosts,
  release,
  image,
  number: f.whole(
    1,
    99_991_231_235_959,
    'Number of the drill, which no other one has: the time at which it was begun.',
  ),
  startedAt: moment('When it was begun.'),
  expiresAt: moment('When anybody may remove it.'),
  from: f.text(/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/, {
    description: 'Server that the copy is made of.',
    allowed: 'the name of a server that holds production data',
    fix: 'let `standby drill` write it',
  }),
  fromSite: f.oneOf(f.sites, 'Site of that server.'),
  method: f.oneOf(
    ['geoRestore', 'clone'],
    "From the last backup that reached INTG's region, or at a point in time in the source's own region.",
  ),
  pointInTime: moment('Time that the copy shows, where its method can choose one.'),
  stage: f.oneOf(
    ['restored', 'running'],
    'Only the copy, closed to everybody but the operators; or also what runs on it.',
  ),
});
export type DrillConfig = z.infer<typeof drillSchema>;

/** @returns an issue for each host that is production's own, or of another zone. */
function hostIssues({ zone: zoneName, hosts }: Pick<DrillConfig, 'zone' | 'hosts'>): Issue[] {
  return [
    ...f.hostsOutside(zoneName, hosts),
    ...f.hostNames
      .filter((name) => !hosts[name].startsWith('drill-'))
      .map((name) => ({
        key: `hosts.${name}`,
        got: hosts[name],
        allowed: 'a name that begins with drill-',
        fix: "a drill never answers for production's own names",
      })),
  ];
}

function lifeIssues({ startedAt, expiresAt }: Pick<DrillConfig, 'startedAt' | 'expiresAt'>): Issue[] {
  const hours = (Date.parse(expiresAt) - Date.parse(startedAt)) / 3_600_000;
  if (hours > 0 && hours <= longestDrillHours) return [];
  return [
    {
      key: 'expiresAt',
      got: expiresAt,
      allowed: `after startedAt, at most ${longestDrillHours} hours`,
      fix: 'begin the drill anew with a shorter --ttl',
    },
  ];
}

export const drillChecks: readonly Check<DrillConfig>[] = [
  { needs: ['zone', 'hosts'], find: hostIssues },
  { needs: ['startedAt', 'expiresAt'], find: lifeIssues },
];

/**
 * Epoch that a drill's applications log in with. It lies above all that `standby:epoch` may be, so that no production server ever
 * admits it, and the copy takes it after whatever epoch production had.
 */
export const drillEpoch = 2_000_000;

/** Group of all that a drill makes at Azure: whatever is left of one goes with it. */
export const drillGroup = (name: string): string => `rg-${name}-drill`;
export const drillNamespace = (name: string): string => `${name}-drill`;
export const drillServer = (name: string, number: number): string => `psql-${name}-intg-drill-${number}`;
export const drillIdentityProvider = (name: string): string => `ca-${name}-idp-drill`;

/** Hosts of a drill: production's, with a prefix. No DNS has them; who wants one asks INTG's ingress for it by name. */
export const drillHosts = (hosts: f.Hosts): f.Hosts =>
  Object.fromEntries(f.hostNames.map((name) => [name, `drill-${hosts[name]}`])) as Record<f.HostName, string>;

/** Tags by which everything of a drill is known, to policies as well as to who cleans up. */
export const drillTags = ({
  number,
  expiresAt,
}: Pick<DrillConfig, 'number' | 'expiresAt'>): Record<string, string> => ({
  'standby-purpose': 'drill',
  'standby-drill': String(number),
  'standby-expires': expiresAt,
});

const word = z.string().min(1);
const drillOutputSchema = z.object({
  number: z.int(),
  startedAt: word,
  expiresAt: word,
  stage: z.enum(['restored', 'running']),
  server: z.object({
    name: word,
    fqdn: word,
    port: z.int(),
    user: word,
    password: word,
    database: word,
    identityDatabase: word,
  }),
  identity: z.object({ fqdn: word, realm: word }),
  hosts: f.hosts,
  clients: z.object(Object.fromEntries(f.apps.map((app) => [app, word])) as Record<f.App, z.ZodString>),
  ingressAddress: z.ipv4(),
  egressAddress: z.ipv4(),
});
/** Output `drill` of the stack `drill`, encrypted in its state: what its checks work with. */
export type DrillOutput = z.infer<typeof drillOutputSchema>;

/** @throws StackOutputError that names what is missing, never a value. */
export function parseDrill(value: unknown): DrillOutput {
  const result = drillOutputSchema.safeParse(value);
  if (result.success) return result.data;
  const missing = result.error.issues.map((issue) => issue.path.join('.') || 'all of it').join(', ');
  throw new StackOutputError(
    `output "drill" of stack drill lacks ${missing}: remove it with \`standby drill --cleanup\``,
  );
}
