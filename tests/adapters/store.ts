/** The store outside both sites: the sandbox's real blob part, and a container of it. */
import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob';
import { randomBytes } from 'node:crypto';
import { TestWorld } from '../cloudflare/part';

export class Store {
  private readonly key = randomBytes(64).toString('base64');
  private readonly part: TestWorld;
  readonly url: string;

  /** @param number one that no other test uses at the same time */
  constructor(number: number) {
    this.part = new TestWorld('blob', number, { STANDBY_STATE_KEY: this.key });
    const { outside, ports } = this.part.world;
    this.url = `http://${outside.blob}:${ports.blob}/standbystate/state`;
  }

  start = () => this.part.start();
  stop = (signal?: NodeJS.Signals) => this.part.stop(signal);
  remove = () => this.part.remove();

  /** What a child needs to open it. */
  get variables(): Readonly<Record<string, string>> {
    return { TRIAL_STORE: this.url, TRIAL_STORE_KEY: this.key };
  }

  container = (): ContainerClient => openStore(this.variables);
}

export const openStore = ({ TRIAL_STORE, TRIAL_STORE_KEY }: Readonly<Record<string, string | undefined>>) =>
  new ContainerClient(TRIAL_STORE ?? '', new StorageSharedKeyCredential('standbystate', TRIAL_STORE_KEY ?? ''), {
    retryOptions: { maxTries: 1, tryTimeoutInMs: 10_000 },
  });
