/** Connects to a server as somebody at a given address does: TLS, verified, from that source address. */
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { Client } from 'pg';
import { address, type Service } from '../azure/service';

export const administrator = { login: 'drpadmin', password: 'Correct-Horse-7' } as const;
/** Somebody on the internet. */
export const outsider = address(30, 99);
/** The egress address of the other site. */
export const otherSite = address(20, 140);

export interface Target {
  readonly fqdn: string;
  readonly address: string;
}

export interface Options {
  readonly from?: string;
  readonly database?: string;
  readonly password?: string;
  readonly tls?: boolean;
}

function socketFrom(localAddress: string, host: string): net.Socket {
  const socket = new net.Socket();
  const connect = socket.connect.bind(socket) as (options: net.TcpNetConnectOpts) => net.Socket;
  socket.connect = () => connect({ host, port: 5432, localAddress });
  return socket;
}

/** Runs one statement. @returns its rows; rejects with what the server said */
export async function query(
  service: Service,
  target: Target,
  text: string,
  options: Options = {},
): Promise<Record<string, unknown>[]> {
  const ca = fs.readFileSync(path.join(service.home, 'run', 'authority', 'ca.pem'), 'utf8');
  const client = new Client({
    user: administrator.login,
    password: options.password ?? administrator.password,
    host: target.fqdn,
    database: options.database ?? 'postgres',
    ...(options.tls === false ? {} : { ssl: { ca, servername: target.fqdn } }),
    stream: () => socketFrom(options.from ?? outsider, target.address),
    connectionTimeoutMillis: 5_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** @returns what the server said instead of doing it */
export const refusedBy = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'it was not refused',
    (cause: Error) => cause.message,
  );
