/**
 * Runs the Keycloak image: the prepared distribution on this machine's Java.
 *
 * Java can't be led through the network hook. What the hook does for other processes is said to it here: names are resolved by
 * the site's resolver at each start and given as a hosts file, connections to the database leave from the site's egress address.
 * A database may be several servers: the driver finds out at each connection which of them takes writes.
 */
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { Client } from 'pg';
import { authorityFile } from '../../authority';
import { readToolchain } from '../../bootstrap/toolchain';
import { resolve } from '../../network/names';
import { routeTo } from '../../network/route';
import { standpointIn } from '../../network/standpoints';
import type { ProcessSpec } from '../../process';
import { ports } from '../../world';
import { folderOf, type Deployment } from './deployment';

const managementPort = 9000;

interface Host {
  readonly name: string;
  readonly port: number;
}

interface DatabaseUrl {
  readonly hosts: readonly Host[];
  readonly database: string;
  readonly options: URLSearchParams;
}

/** @throws Error when KC_DB_URL is missing or is no URL of PostgreSQL */
function databaseOf(deployment: Deployment): DatabaseUrl {
  const text = deployment.env['KC_DB_URL'] ?? '';
  const host = '[^:/?,]+(?::\\d+)?';
  const form = new RegExp(
    `^jdbc:postgresql://(?<hosts>${host}(?:,${host})*)/(?<database>[^?]+)(?:\\?(?<options>.*))?$`,
  );
  const { hosts, database, options } = form.exec(text)?.groups ?? {};
  if (!hosts || !database) {
    throw new Error(`KC_DB_URL is "${text}"; it must be jdbc:postgresql://<host>:<port>,…/<database>?<options>`);
  }
  const hostOf = (one: string): Host => {
    const [name = '', port] = one.split(':');
    return { name, port: Number(port ?? ports.postgres) };
  };
  return { hosts: hosts.split(',').map(hostOf), database, options: new URLSearchParams(options) };
}

interface Place extends Host {
  readonly address: string;
  /** Where connections to it leave from. */
  readonly source: string;
}

/** @returns those of its servers that have an address. @throws Error when none has */
async function placesOf(deployment: Deployment, { hosts }: DatabaseUrl): Promise<readonly [Place, ...Place[]]> {
  const from = standpointIn(deployment.site, deployment.address);
  const found = hosts.map(async (host): Promise<Place> => {
    const [address] = await resolve(host.name, from.resolver);
    if (!address) throw new Error(`${host.name} has no address`);
    return { ...host, address, source: routeTo(from, address, host.port)?.localAddress ?? deployment.address };
  });
  const settled = await Promise.allSettled(found);
  const [first, ...others] = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  if (!first) throw (settled[0] as PromiseRejectedResult).reason;
  return [first, ...others];
}

/** The container's /opt/keycloak: the distribution by links, what the volumes bring beside it. */
function prepareHome(deployment: Deployment, distribution: string): string {
  const home = path.join(folderOf(deployment.resourceId), 'root', 'opt', 'keycloak');
  fs.mkdirSync(home, { recursive: true });
  for (const name of ['bin', 'conf', 'lib', 'providers', 'themes', 'version.txt']) {
    const link = path.join(home, name);
    fs.rmSync(link, { recursive: true, force: true });
    fs.symlinkSync(path.join(distribution, name), link);
  }
  return home;
}

/** @throws Error when the database's name can't be resolved or its URL is wrong */
export async function keycloakProcess(deployment: Deployment): Promise<ProcessSpec> {
  const { java, keycloak } = readToolchain();
  const database = databaseOf(deployment);
  const places = await placesOf(deployment, database);
  await prepareDatabase(deployment, database, places, keycloak.schema);
  const hosts = path.join(folderOf(deployment.resourceId), 'hosts');
  const known = [
    `127.0.0.1 localhost ${os.hostname()}`,
    `${deployment.address} ${deployment.names[0]}`,
    ...places.map(({ address, name }) => `${address} ${name}`),
  ];
  fs.writeFileSync(hosts, known.join('\n') + '\n');
  const home = prepareHome(deployment, keycloak.home);
  return {
    name: deployment.process,
    command: java.path,
    args: [
      ...keycloak.options,
      `-Dkc.home.dir=${home}`,
      `-Djdk.net.hosts.file=${hosts}`,
      keycloak.mainClass,
      ...deployment.command.slice(1),
      ...deployment.args,
    ],
    env: { ...deployment.env, ...listening(deployment), KC_DB_URL: urlOf(deployment, database, places) },
    cwd: home,
    site: deployment.site,
    scope: 'data',
  };
}

/** The ingress ends TLS in front of a container and sends plain HTTP to its target port; here Keycloak ends TLS itself. */
const listening = (deployment: Deployment): Readonly<Record<string, string>> => ({
  KC_HTTP_HOST: deployment.address,
  KC_HTTP_ENABLED: 'false',
  KC_HTTPS_PORT: String(ports.https),
  KC_HTTPS_CERTIFICATE_FILE: path.join(folderOf(deployment.resourceId), 'tls.crt'),
  KC_HTTPS_CERTIFICATE_KEY_FILE: path.join(folderOf(deployment.resourceId), 'tls.key'),
  KC_HTTP_MANAGEMENT_PORT: String(managementPort),
  KC_HTTP_MANAGEMENT_SCHEME: 'http',
  KC_TRUSTSTORE_PATHS: authorityFile,
  // Its default discovers other members of a cluster over every network interface.
  KC_CACHE: 'local',
});

/** The driver takes one source address for all servers: the egress address, where one of them is elsewhere. */
function urlOf(deployment: Deployment, database: DatabaseUrl, places: readonly Place[]): string {
  const options = new URLSearchParams(database.options);
  if (!options.has('sslrootcert')) options.set('sslrootcert', authorityFile);
  const sources = places.map(({ source }) => source);
  options.set('localSocketAddress', sources.find((source) => source !== deployment.address) ?? deployment.address);
  const hosts = database.hosts.map(({ name, port }) => `${name}:${port}`).join(',');
  return `jdbc:postgresql://${hosts}/${database.database}?${options.toString()}`;
}

const schemaMs = 20_000;

/**
 * An empty database gets the tables that Keycloak's migrations would make, which is some seconds faster.
 * @throws Error when none of the servers lets Keycloak in
 */
async function prepareDatabase(
  deployment: Deployment,
  database: DatabaseUrl,
  places: readonly Place[],
  schema: string,
): Promise<void> {
  if (!fs.existsSync(schema)) return;
  const failures: unknown[] = [];
  for (const place of places) {
    try {
      return await prepareAt(deployment, database, place, schema);
    } catch (cause) {
      failures.push(cause);
    }
  }
  throw failures[0];
}

async function prepareAt(
  deployment: Deployment,
  { database }: DatabaseUrl,
  place: Place,
  schema: string,
): Promise<void> {
  const client = new Client({
    user: deployment.env['KC_DB_USERNAME'],
    password: deployment.env['KC_DB_PASSWORD'],
    host: place.name,
    database,
    ssl: { ca: fs.readFileSync(authorityFile, 'utf8'), servername: place.name },
    stream: () => socketFrom(place.source, place.address, place.port),
    connectionTimeoutMillis: 5_000,
    query_timeout: schemaMs,
  });
  client.on('error', () => undefined); // told by the query that fails
  try {
    await client.connect();
    const empty = await client.query(`SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace LIMIT 1`);
    if (empty.rowCount === 0) await client.query(`BEGIN;\n${fs.readFileSync(schema, 'utf8')}\nCOMMIT;`);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** A socket that goes to this place whatever it is told, from a given source address. */
function socketFrom(localAddress: string, host: string, port: number): net.Socket {
  const socket = new net.Socket();
  const connect = socket.connect.bind(socket) as (options: net.TcpNetConnectOpts) => net.Socket;
  socket.connect = () => connect({ host, port, localAddress });
  return socket;
}
