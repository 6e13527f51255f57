/** What PROD holds when the exercise begins: a public data set, and a user who can log in. */
import { PostgreSQLManagementFlexibleServerClient } from '@azure/arm-postgresql-flexible';
import { ClientSecretCredential } from '@azure/identity';
import * as fs from 'node:fs';
import * as net from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { authorityFile } from '../authority';
import { readEnvironment } from '../environment';
import { resolve } from '../network/outside';
import { outside, ports } from '../world';
import type { OutsideClient, User } from './client';

export interface DatabaseAccess {
  readonly fqdn: string;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /** The address that the server's firewall admits: the site's own egress. */
  readonly source: string;
}

interface Flight {
  readonly delay: number;
  readonly distance: number;
  readonly time: number;
}

/** Flights of US carriers (US Department of Transportation, from the package vega-datasets): 231,083 rows. */
const dataset = 'vega-datasets/data/flights-200k.json';

export async function connect(access: DatabaseAccess): Promise<Client> {
  const [address] = await resolve(access.fqdn, outside.publicDns);
  const socket = new net.Socket();
  const dial = net.Socket.prototype.connect.bind(socket) as (options: net.SocketConnectOpts) => net.Socket;
  socket.connect = ((port: number) => dial({ port, host: address ?? '', localAddress: access.source })) as never;
  const client = new Client({
    host: access.fqdn,
    port: ports.postgres,
    database: access.database,
    user: access.user,
    password: access.password,
    ssl: { ca: fs.readFileSync(authorityFile, 'utf8'), servername: access.fqdn },
    stream: () => socket,
  });
  await client.connect();
  return client;
}

/** Loads the data set into the application's table. @returns the number of rows. */
export async function loadData(access: DatabaseAccess): Promise<number> {
  const flights = JSON.parse(fs.readFileSync(require.resolve(dataset), 'utf8')) as Flight[];
  const client = await connect(access);
  try {
    await client.query(
      'CREATE TABLE IF NOT EXISTS flights (id bigserial PRIMARY KEY, delay int NOT NULL, distance int NOT NULL, time real NOT NULL)',
    );
    const rows = Readable.from(chunks(flights.map((one) => `${one.delay}\t${one.distance}\t${one.time}\n`)));
    await pipeline(rows, client.query(copyFrom('COPY flights (delay, distance, time) FROM STDIN')));
    return flights.length;
  } finally {
    await client.end();
  }
}

function* chunks(lines: readonly string[]): Generator<string> {
  for (let at = 0; at < lines.length; at += 5_000) yield lines.slice(at, at + 5_000).join('');
}

/** Asks the vendor for a backup now, as an operator would after a large import. */
export async function backUp(resourceGroup: string, server: string, name: string): Promise<void> {
  const env = readEnvironment()?.people ?? {};
  const value = (key: string) => env[key] ?? '';
  const credential = new ClientSecretCredential(
    value('ARM_TENANT_ID'),
    value('ARM_CLIENT_ID'),
    value('ARM_CLIENT_SECRET'),
    {
      authorityHost: `https://${outside.login}:${ports.https}`,
      disableInstanceDiscovery: true,
      tlsOptions: { ca: fs.readFileSync(authorityFile, 'utf8') },
    },
  );
  const endpoint = `https://${outside.arm}:${ports.https}`;
  const client = new PostgreSQLManagementFlexibleServerClient(credential, value('ARM_SUBSCRIPTION_ID'), {
    endpoint,
    credentialScopes: [`${endpoint}/.default`],
    tlsOptions: { ca: fs.readFileSync(authorityFile, 'utf8') },
  });
  await client.backupsAutomaticAndOnDemand.beginCreateAndWait(resourceGroup, server, name, { updateIntervalInMs: 200 });
}

/** For what comes before anything is measured. */
const patienceMs = 30_000;

/** Creates the user through the IDP's own administration interface, from outside. */
export async function createUser(
  client: OutsideClient,
  zone: string,
  realm: string,
  admin: User,
  user: User,
): Promise<void> {
  const idp = `https://idp.${zone}`;
  const answer = await client.request(
    `${idp}/realms/master/protocol/openid-connect/token`,
    {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        grant_type: 'password',
        client_id: 'admin-cli',
        username: admin.name,
        password: admin.password,
      }).toString(),
    },
    patienceMs,
  );
  if (!answer.ok) throw new Error(`the IDP refuses its administrator: status ${answer.status}`);
  const { access_token: token } = (await answer.json()) as { access_token: string };
  const created = await client.request(
    `${idp}/admin/realms/${realm}/users`,
    {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        username: user.name,
        email: `${user.name}@${zone}`,
        emailVerified: true,
        firstName: 'Exercise',
        lastName: 'User',
        enabled: true,
        credentials: [{ type: 'password', value: user.password, temporary: false }],
      }),
    },
    patienceMs,
  );
  if (created.status !== 201) throw new Error(`the IDP does not create the user: status ${created.status}`);
}
