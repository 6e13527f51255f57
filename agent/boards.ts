/** Keeps the site's board (failover/board.ts) in its cluster: an object of Kubernetes' own kind for such things. */
import { emptyBoard, type Board } from '../failover/board';
import { type Kubernetes, KubernetesError, type KubernetesObject, type Limits } from './kubernetes';

const name = 'standby-agent';
const annotation = 'standby/board';
/** The other agent of the site may change it at the same time. */
const attempts = 5;

export class Boards {
  private readonly collection: string;

  constructor(
    private readonly kubernetes: Kubernetes,
    namespace: string,
  ) {
    this.collection = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  }

  async read(): Promise<Board> {
    return boardOf(await this.find());
  }

  /**
   * Changes the board, unless somebody else did in between; then it asks `next` again.
   * @param next - the new board; undefined to leave it.
   * @param limits - of each call to the API server; the usual ones unless given.
   * @returns the board as it is then, and whether it was changed.
   */
  async change(
    next: (board: Board) => Board | undefined,
    limits?: Limits,
  ): Promise<{ readonly board: Board; readonly changed: boolean }> {
    for (let attempt = 1; ; attempt += 1) {
      const found = await this.find(limits);
      const before = boardOf(found);
      const board = next(before);
      if (!board) return { board: before, changed: false };
      try {
        await this.write(found, board, limits);
        return { board, changed: true };
      } catch (cause) {
        if (!(cause instanceof KubernetesError && cause.status === 409) || attempt === attempts) throw cause;
      }
    }
  }

  private async find(limits?: Limits): Promise<KubernetesObject | undefined> {
    try {
      return await this.kubernetes.call<KubernetesObject>('GET', `${this.collection}/${name}`, undefined, limits);
    } catch (cause) {
      if (cause instanceof KubernetesError && cause.status === 404) return undefined;
      throw cause;
    }
  }

  private async write(found: KubernetesObject | undefined, board: Board, limits?: Limits): Promise<void> {
    const annotations = { [annotation]: JSON.stringify(board) };
    const object = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
    if (!found) {
      const made = { ...object, metadata: { name, annotations }, spec: {} };
      await this.kubernetes.call('POST', this.collection, made, limits);
      return;
    }
    const metadata = { ...found.metadata, annotations: { ...found.metadata.annotations, ...annotations } };
    await this.kubernetes.call('PUT', `${this.collection}/${name}`, { ...object, ...found, metadata }, limits);
  }
}

const boardOf = (object: KubernetesObject | undefined): Board => {
  const text = object?.metadata.annotations?.[annotation];
  return text ? { ...emptyBoard, ...(JSON.parse(text) as Board) } : emptyBoard;
};
