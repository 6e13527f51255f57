/**
 * The part `azure`: metadata and managed identities' tokens (http), Azure Resource Manager and login (https), name servers, and
 * through its kinds the database servers and container apps. Its state is under `folders.azure`.
 *
 * STANDBY_ARM_SILENCE_SECONDS: how long a request to a silent region hangs before 503 (default 60).
 */
import * as path from 'node:path';
import { createAuthority, issue } from '../authority';
import { folders, outside, ports } from '../world';
import { Arm } from './arm';
import { contexts } from './context';
import { AzureNames, serveDns } from './dns';
import { Engine } from './engine';
import { errorAnswer, serve, type Handler, type Request } from './http';
import { writeEgress } from './kinds/network';
import { writeStorage } from './kinds/storage';
import { login } from './login';
import { endpoints, metadata } from './metadata';
import { Operations } from './operations';
import { Store } from './store';
import { assignDeployer, openTokens, writeAuthorization, type Tokens } from './tokens';

const log = (line: string) => process.stdout.write(`${new Date().toISOString()} ${line}\n`);

function secondsFromEnvironment(name: string, otherwise: number): number {
  const text = process.env[name];
  const value = text === undefined ? otherwise : Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`${name} is "${text}"; allowed is a number of seconds over 0`);
}

/** Keeps the files that other parts read in step with the resources. */
function project(store: Store, tokens: Tokens): void {
  const projections: readonly (readonly [RegExp, () => void])[] = [
    [/./, () => writeAuthorization(store, tokens)], // any resource may have an identity of its own
    [/^Microsoft\.Storage\//i, () => writeStorage(store)],
    [/^Microsoft\.Network\/(natGateways|publicIPAddresses)$/i, () => writeEgress(store)],
  ];
  for (const [, write] of projections) write();
  store.onChange((type) => {
    for (const [pattern, write] of projections) if (pattern.test(type)) write();
  });
}

/** One line for each request, without its query or body. */
const logged =
  (name: string, handler: Handler): Handler =>
  async (request: Request) => {
    const began = Date.now();
    const answer = await handler(request).catch((cause: unknown) => errorAnswer(cause, log));
    const error = (answer.body as { readonly error?: { readonly code?: string } } | undefined)?.error;
    log(
      `${name} ${request.method} ${answer.status}${error?.code ? ` ${error.code}` : ''} ${Date.now() - began}ms ${request.path}`,
    );
    return answer;
  };

async function main(): Promise<void> {
  await createAuthority();
  const store = new Store(folders.azure);
  const tokens = await openTokens();
  assignDeployer(store);
  project(store, tokens);
  const context = contexts(store, log);
  const operations = new Operations(path.join(folders.azure, 'operations'), log);
  const engine = new Engine(store, operations, context);
  const silenceMs = secondsFromEnvironment('STANDBY_ARM_SILENCE_SECONDS', 60) * 1000;
  const arm = new Arm(store, engine, operations, { silenceMs });

  // Names and processes first: whoever is answered by ARM may use what it tells at once.
  const stopDns = await serveDns(new AzureNames(store, context));
  await engine.start(log);

  const armOrMetadata: Handler = async (request) =>
    request.path === '/metadata/endpoints' ? endpoints(request) : arm.handle(request);
  const servers = [
    await serve(
      logged('metadata', (request) => metadata(store, tokens, request)),
      outside.arm,
      ports.http,
      log,
    ),
    await serve(
      logged('arm', armOrMetadata),
      outside.arm,
      ports.https,
      log,
      await issue([outside.arm, 'management.azure.com']),
    ),
    await serve(
      logged('login', (request) => login(store, tokens, request)),
      outside.login,
      ports.https,
      log,
      await issue([outside.login, 'login.microsoftonline.com']),
    ),
  ];
  process.stdout.write(JSON.stringify({ ready: true, arm: outside.arm, login: outside.login }) + '\n');

  const stop = async () => {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
    stopDns();
    await engine.stop(log);
    process.exit(0);
  };
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => void stop());
}

main().catch((cause: unknown) => {
  process.stderr.write(`azure: ${(cause as Error).message}\n`);
  process.exit(1);
});
