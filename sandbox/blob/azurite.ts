/**
 * Azurite's blob service in a process of its own. It differs from the package's command line in two things: accounts can be
 * changed while it runs, and it writes its index down when it is told to, so that an acknowledged write survives a kill.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { folders, outside, ports, repository } from '../world';

/** Argument that makes the part's program play Azurite. */
export const azuriteRole = 'azurite';

interface Database {
  saveDatabase(done: (cause?: Error | null) => void): void;
}
interface BlobServer {
  start(): Promise<void>;
  close(): Promise<void>;
  readonly accountDataStore: { refresh(): void };
  readonly metadataStore: { readonly db: Database };
  readonly extentMetadataStore: { readonly db: Database };
}
type Order = { readonly id: number } & ({ readonly accounts: string } | { readonly save: true });

const save = (db: Database) =>
  new Promise<void>((resolve, reject) => db.saveDatabase((cause) => (cause ? reject(cause) : resolve())));

const packages = createRequire(path.join(repository, 'package.json'));

function makeServer(): BlobServer {
  const load = (name: string) =>
    (packages(`azurite/dist/src/blob/${name}`) as { default: new (...args: unknown[]) => unknown }).default;
  const [Configuration, Server] = [load('BlobConfiguration'), load('BlobServer')];
  const storage = [{ locationId: 'Default', locationPath: path.join(folders.blob, 'extents'), maxConcurrency: 50 }];
  const files = [path.join(folders.blob, 'blobs.json'), path.join(folders.blob, 'extents.json'), storage];
  const keepAliveSeconds = 60;
  const logs = [false, undefined, false, undefined];
  const rules = [
    /* loose */ false,
    /* skip the check of the API version */ true,
    '',
    '',
    '',
    undefined,
    /* path style only */ true,
  ];
  return new Server(
    new Configuration(outside.azurite, ports.blob, keepAliveSeconds, ...files, ...logs, ...rules),
  ) as BlobServer;
}

/** The child's program: obeys orders of the parent and ends with it. */
export async function playAzurite(): Promise<void> {
  fs.mkdirSync(folders.blob, { recursive: true });
  let server = makeServer();
  const end = () => void server.close().finally(() => process.exit(0));
  process.once('disconnect', end).once('SIGTERM', end);
  // A parent that was killed leaves a child behind that closes its files before it frees the port.
  for (let tries = 0; ; tries += 1) {
    try {
      await server.start();
      break;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE' || tries >= 100) throw cause;
      await delay(50);
      server = makeServer();
    }
  }
  process.on('message', (order: Order) => {
    const answer = (error?: string) => process.send?.({ id: order.id, ...(error ? { error } : {}) });
    if ('accounts' in order) {
      process.env['AZURITE_ACCOUNTS'] = order.accounts;
      server.accountDataStore.refresh();
      answer();
      return;
    }
    const saves = [save(server.extentMetadataStore.db), save(server.metadataStore.db)];
    Promise.all(saves).then(
      () => answer(),
      (cause: Error) => answer(cause.message),
    );
  });
  process.send?.({ ready: true });
}

export class Azurite {
  private constructor(private readonly child: ChildProcess) {
    child.on('message', (message: { id?: number; error?: string }) => {
      if (message.id === undefined) return;
      const waiting = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if (message.error) waiting?.reject(new Error(message.error));
      else waiting?.resolve();
    });
    child.on('exit', (code, signal) => {
      console.error(`blob: Azurite ended (${signal ?? code}); the part ends with it`);
      process.exit(1);
    });
  }

  private readonly waiting = new Map<number, { resolve: () => void; reject: (cause: Error) => void }>();
  private orders = 0;

  static async start(): Promise<Azurite> {
    const child = fork(process.argv[1] as string, [azuriteRole], {
      // Without any account Azurite would open its well-known one.
      env: { ...process.env, AZURITE_ACCOUNTS: 'none:bm9uZQ==' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) =>
        Promise.reject(new Error(`Azurite ended with ${String(code)} before it was ready`)),
      ),
    ]);
    return new Azurite(child);
  }

  /** @param keys base64, by account. */
  setAccounts(keys: Readonly<Record<string, readonly string[]>>): Promise<void> {
    const accounts = Object.entries(keys).map(([name, held]) => [name, ...held.slice(0, 2)].join(':'));
    return this.order({ accounts: accounts.join(';') || 'none:bm9uZQ==' });
  }

  /** Resolves when all that was written so far is on disk. Calls that come together share one write. */
  save(): Promise<void> {
    return this.order({ save: true });
  }

  async stop(): Promise<void> {
    this.child.removeAllListeners('exit');
    this.child.kill('SIGTERM');
    await once(this.child, 'exit');
  }

  private order(order: { readonly accounts: string } | { readonly save: true }): Promise<void> {
    this.orders += 1;
    const id = this.orders;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.child.send({ id, ...order });
    });
  }
}
