/**
 * The map of the sandbox: one machine plays the world. Every address, port and folder of it is named here and nowhere else.
 *
 * Each site has a loopback range of its own, so that a firewall rule on a source address is real and a whole site can be
 * silenced. The second octet is the world's number (`STANDBY_WORLD`, 0 to 254): worlds side by side do not meet.
 */
import * as path from 'node:path';

export const sites = ['prod', 'intg'] as const;
export type Site = (typeof sites)[number];

export const regionOf: Readonly<Record<Site, string>> = { prod: 'westeurope', intg: 'northeurope' };

const worldNumber = Number(process.env['STANDBY_WORLD'] ?? 0);
if (!Number.isInteger(worldNumber) || worldNumber < 0 || worldNumber > 254) {
  throw new Error(`STANDBY_WORLD is "${process.env['STANDBY_WORLD']}"; allowed is a whole number from 0 to 254`);
}

/** @returns an address of the world: `third` 10 = PROD, 20 = INTG, 30 = outside both. */
const at = (third: number, fourth: number) => `127.${worldNumber}.${third}.${fourth}`;
const thirdOctet: Readonly<Record<Site, number>> = { prod: 10, intg: 20 };

/** Canonical ports are privileged; what stands in for them here can be bound by an ordinary user. */
export const ports = { https: 8443, http: 8080, dns: 5353, postgres: 5432, kubernetes: 6443, blob: 10000 } as const;

export interface SitePlan {
  readonly site: Site;
  readonly region: string;
  /** All of the site, and the half of it that is its Kubernetes cluster (CIDR). */
  readonly range: string;
  readonly clusterRange: string;
  /** Group id of every process of the site: the packet filter tells in-site traffic from outside traffic by it. */
  readonly gid: number;
  readonly apiServer: string;
  /** Addresses that ARM hands out, one by one: database servers, container apps, public IP addresses (in the cluster's half). */
  readonly database: (index: number) => string;
  readonly containerApp: (index: number) => string;
  readonly publicIp: (index: number) => string;
  readonly pod: (index: number) => string;
  /** The virtual network's resolver: sees the private zones linked to it, answers all else as the public resolver does. */
  readonly resolver: string;
}

const planOf = (site: Site): SitePlan => ({
  site,
  region: regionOf[site],
  range: `${at(thirdOctet[site], 0)}/24`,
  clusterRange: `${at(thirdOctet[site], 128)}/25`,
  gid: 30000 + worldNumber * 10 + (site === 'prod' ? 1 : 2),
  apiServer: at(thirdOctet[site], 130),
  database: (index) => at(thirdOctet[site], 10 + index), // 10..39
  containerApp: (index) => at(thirdOctet[site], 40 + index), // 40..79
  publicIp: (index) => at(thirdOctet[site], 140 + index), // 140..149
  pod: (index) => at(thirdOctet[site], 150 + index), // 150..250
  resolver: at(30, site === 'prod' ? 110 : 120),
});

export const plan: Readonly<Record<Site, SitePlan>> = { prod: planOf('prod'), intg: planOf('intg') };

/** What stands outside both sites: the vendors' own services, the internet's resolver, the edge, the outside client. */
export const outside = {
  range: `${at(30, 0)}/24`,
  arm: at(30, 10), // https ports.https; the metadata document and the managed identities' tokens on ports.http
  login: at(30, 11), // https ports.https
  azureDns: at(30, 16), // public names of Azure resources
  cloudflareApi: at(30, 20), // https ports.https
  blob: at(30, 40), // http ports.blob, path style: /account/container/blob
  azurite: at(30, 41), // behind the strict layer; nobody else connects to it
  publicDns: at(30, 53), // authoritative for the zone, recursive for the rest
  edge: at(30, 80), // https ports.https; the address of every proxied record
  client: at(30, 99),
} as const;

/** The provider stand-ins are attached by port on 127.0.0.1, which is where the engine looks for them. */
export const providerPorts = {
  'azure-native': 18600 + worldNumber * 10,
  cloudflare: 18601 + worldNumber * 10,
  kubernetes: 18602 + worldNumber * 10,
  random: 18603 + worldNumber * 10,
} as const;

export const repository = path.resolve(process.env['STANDBY_REPOSITORY'] ?? path.join(__dirname, '..'));
/** The one folder of everything that is built, fetched or running. `npm run clean` removes it. */
export const home = path.resolve(process.env['STANDBY_HOME'] ?? path.join(repository, '.standby'));

export const folders = {
  cache: path.join(home, 'cache'),
  /** Command line tools that the bootstrap built or fetched: pulumi, pulumi-language-nodejs, kubebox. Leads PATH. */
  bin: path.join(home, 'cache', 'bin'),
  keycloak: path.join(home, 'cache', 'keycloak'),
  build: path.join(home, 'build'),
  run: path.join(home, 'run'),
  pids: path.join(home, 'run', 'pids'),
  logs: path.join(home, 'run', 'logs'),
  authority: path.join(home, 'run', 'authority'),
  azure: path.join(home, 'run', 'azure'),
  cloudflare: path.join(home, 'run', 'cloudflare'),
  blob: path.join(home, 'run', 'blob'),
  kubernetes: (site: Site) => path.join(home, 'run', 'kubernetes', site),
  /** The Pulumi project as the sandbox runs it: the program of the repository, the stacks' configuration of this world. */
  project: path.join(home, 'run', 'project'),
} as const;

export const nftTable = `standby_${worldNumber}`;

/**
 * How often a managed server's backup reaches the paired region, in seconds: the worst loss of branch 1b here.
 * Azure promises an hour (recovery point objective of geo-restore).
 */
export const geoReplicationSeconds = 5;
