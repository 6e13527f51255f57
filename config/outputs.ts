/** What the stacks tell each other, checked when it is read. */
import { z } from 'zod';
import { apps, company, hosts, sites, type App } from './fields';
import { eeaRegionNames } from './regions';

const word = z.string().min(1);
const address = z.ipv4();

/** What a site is: output `site` of the stacks `prod` and `intg`. Nothing in it is secret. */
export const siteOutputsSchema = z.object({
  site: z.enum(sites),
  company,
  region: z.enum(eeaRegionNames),
  zone: word,
  hosts,
  resourceGroup: z.object({ name: word, id: word }),
  /** Region outside both sites, and the group there of what has no place of its own. */
  globalRegion: z.enum(eeaRegionNames),
  globalResourceGroup: word,
  network: z.object({ id: word, egressAddress: address, ingressAddress: address }),
  /** `issuer` signs the tokens of the cluster's service accounts. */
  cluster: z.object({ name: word, id: word, issuer: word }),
  database: z.object({
    engine: z.enum(['postgresql', 'sqlserver']),
    server: word,
    serverId: word,
    fqdn: word,
    port: z.int(),
    /** Database of the applications. */
    database: word,
    user: word,
    version: word,
    sku: word,
    tier: word,
    storageGb: z.int(),
    backupRetentionDays: z.int(),
    operatorAddresses: z.array(address),
  }),
  identity: z.object({
    fqdn: word,
    app: word,
    environmentId: word,
    environmentDomain: word,
    image: word,
    realm: word,
    /** Database of the identity provider, on the same server. */
    database: word,
    administrator: word,
  }),
  alerts: z.object({
    actionGroupId: word,
    memoryPercent: z.number(),
    storagePercent: z.number(),
    connections: z.number(),
  }),
  /** `retentionDays`: nobody changes or deletes a backup before, and none is left after. Stacks of an earlier version don't tell. */
  backup: z.object({ account: word, container: word, retentionDays: z.int().exactOptional() }),
  internalZone: word,
  /** Host that the site's agents answer to, through the site's own ingress. */
  agentHost: word,
  /** The site's managed identity: who reads the resource group of the database that the site works on. */
  principalId: word,
  /** The same identity, as the site's agents log in as it. */
  clientId: word,
  tenantId: word,
});
export type SiteOutputs = z.infer<typeof siteOutputsSchema>;

/** Output `secrets` of the stacks `prod` and `intg`, encrypted in the state. */
export interface SiteSecrets {
  readonly databasePassword: string;
  readonly administratorPassword: string;
  readonly clients: Readonly<Record<App, string>>;
  readonly session: string;
  /** The realm file that an identity provider of this site imports into an empty database. */
  readonly realm: string;
}
const siteSecretsSchema: z.ZodType<SiteSecrets> = z.object({
  databasePassword: word,
  administratorPassword: word,
  clients: z.object(Object.fromEntries(apps.map((app) => [app, word])) as Record<App, z.ZodString>),
  session: word,
  realm: word,
});

/** @throws StackOutputError that names what is missing, never a value. */
export function parseSecrets(stack: string, value: unknown): SiteSecrets {
  const result = siteSecretsSchema.safeParse(value);
  if (result.success) return result.data;
  const missing = result.error.issues.map((issue) => issue.path.join('.') || 'all of it').join(', ');
  throw new StackOutputError(
    `output "secrets" of stack ${stack} lacks ${missing}: run \`pulumi up --stack ${stack}\` first`,
  );
}

/** Outputs of the failover stack, apart from its secrets. */
export interface FailoverOutputs {
  readonly activeSite: (typeof sites)[number];
  readonly epoch: number;
  readonly release: string;
  readonly zone: string;
  readonly hosts: Readonly<Record<string, string>>;
  readonly urls: Readonly<Record<string, string>>;
  readonly ingressAddress: string;
  /** Server and host name that the applications write to. */
  readonly databaseServer: string;
  readonly databaseFqdn: string;
  readonly identityFqdn: string;
  /** Every server that holds or held production data, with its role now. */
  readonly servers: readonly { readonly name: string; readonly site: string; readonly role: string }[];
  readonly objectives: { readonly recoveryTimeHours: number; readonly recoveryPointHours: number };
  /** Where copies of backups go, and how many keys open them. Absent where none are configured. */
  readonly backup?: {
    readonly site: string;
    readonly offsite?: string;
    readonly offline?: string;
    readonly recipients: number;
  };
}

/** Another stack has not told what this one needs. */
export class StackOutputError extends Error {
  readonly code = 'StackOutputMissing';
  readonly retryable = false;
}

/**
 * @param value - output `site` of the stack, as it was read.
 * @throws StackOutputError that names the stack and what to do.
 */
export function parseSite(stack: string, value: unknown): SiteOutputs {
  if (value === undefined) {
    throw new StackOutputError(`stack ${stack} has no output "site": run \`pulumi up --stack ${stack}\` first`);
  }
  const result = siteOutputsSchema.safeParse(value);
  if (result.success) return result.data;
  const what = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
  throw new StackOutputError(
    `output "site" of stack ${stack} is not what this version of the program needs (${what}): run \`pulumi up --stack ${stack}\` first`,
  );
}
