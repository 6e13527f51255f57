/** The copy of each journal in the store outside both sites: an append blob a run. */
import type { ContainerClient } from '@azure/storage-blob';

const folder = 'runs/';
const ending = '.jsonl';
const limitMs = 4_000;
const runsAtOnce = 8;

/** Somebody else has appended: the blob is not as long as it was thought to be. */
export class PositionMoved extends Error {}

const statusOf = (cause: unknown) => (cause as { statusCode?: number }).statusCode;
const limited = () => ({ abortSignal: AbortSignal.timeout(limitMs) });

export class RemoteJournal {
  /** @param container - throws where the store can't be opened */
  constructor(private readonly container: () => ContainerClient) {}

  private blob(run: string) {
    return this.container().getAppendBlobClient(`${folder}${run}${ending}`);
  }

  /** @returns runs, the one that was begun last first. */
  async runs(): Promise<string[]> {
    const found: { run: string; at: number }[] = [];
    for await (const { name, properties } of this.container().listBlobsFlat({ prefix: folder, ...limited() })) {
      const at = (properties.createdOn ?? properties.lastModified).getTime();
      if (name.endsWith(ending)) found.push({ run: name.slice(folder.length, -ending.length), at });
    }
    return found.sort((a, b) => b.at - a.at).map(({ run }) => run);
  }

  /** @returns the journal's bytes; none when there is no such run. */
  async read(run: string): Promise<Buffer> {
    try {
      const blob = this.blob(run);
      const { contentLength = 0 } = await blob.getProperties(limited());
      return contentLength === 0 ? Buffer.alloc(0) : await blob.downloadToBuffer(0, contentLength, limited());
    } catch (cause) {
      if (statusOf(cause) === 404) return Buffer.alloc(0);
      throw cause;
    }
  }

  async readAll(runs: readonly string[]): Promise<ReadonlyMap<string, Buffer>> {
    const found = new Map<string, Buffer>();
    for (let index = 0; index < runs.length; index += runsAtOnce) {
      const some = runs.slice(index, index + runsAtOnce);
      const texts = await Promise.all(some.map((run) => this.read(run)));
      some.forEach((run, at) => found.set(run, texts[at]!));
    }
    return found;
  }

  /** @throws PositionMoved when the blob is not `position` long: nothing is appended then. */
  async append(run: string, position: number, bytes: Buffer): Promise<void> {
    const blob = this.blob(run);
    try {
      if (position === 0) await this.create(run);
      await blob.appendBlock(bytes, bytes.length, { conditions: { appendPosition: position }, ...limited() });
    } catch (cause) {
      if (statusOf(cause) === 412) throw new PositionMoved('the journal in the store has grown', { cause });
      throw cause;
    }
  }

  private async create(run: string): Promise<void> {
    try {
      await this.blob(run).create({ conditions: { ifNoneMatch: '*' }, ...limited() });
    } catch (cause) {
      if (statusOf(cause) !== 409) throw cause;
    }
  }
}
