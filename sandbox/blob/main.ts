/** The blob part: Azurite, and in front of it the layer that makes it as strict as the real Blob service. */
import * as http from 'node:http';
import * as https from 'node:https';
import type * as net from 'node:net';
import { createAuthority, issue } from '../authority';
import { outside, ports } from '../world';
import { Accounts } from './accounts';
import { Azurite, azuriteRole, playAzurite } from './azurite';
import { BlobService } from './server';
import { Versions } from './versions';

const listen = (server: net.Server, port: number) =>
  new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, outside.blob, resolve);
  });

async function main(): Promise<void> {
  await createAuthority();
  const azurite = await Azurite.start();
  process.on('SIGTERM', () => void azurite.stop().finally(() => process.exit(0)));
  const versions = new Versions();
  const accounts = new Accounts(azurite, (prefix) => versions.index.purge(prefix));
  await accounts.refresh();
  await versions.recover(accounts);

  const service = new BlobService(accounts, versions, azurite);
  const serve = (request: http.IncomingMessage, response: http.ServerResponse) => void service.serve(request, response);
  // Clients send tokens over TLS only, and then name the account in the host as the real service does.
  const certificate = await issue(['*.blob.core.windows.net', outside.blob]);
  await Promise.all([
    listen(http.createServer({ keepAliveTimeout: 60_000 }, serve), ports.blob),
    listen(https.createServer({ ...certificate, keepAliveTimeout: 60_000, minVersion: 'TLSv1.2' }, serve), ports.https),
  ]);
  console.log(
    JSON.stringify({ ready: true, http: `${outside.blob}:${ports.blob}`, https: `${outside.blob}:${ports.https}` }),
  );
}

const program = process.argv[2] === azuriteRole ? playAzurite : main;
program().catch((cause: Error) => {
  console.error(`blob: ${cause.message}`);
  process.exit(1);
});
