/**
 * A backup store: base backups and the write-ahead log since, of one server, in one region. It outlives its server, and the copy
 * in the paired region outlives the region.
 *
 * What a store promises: `base/<id>.json` is there only when the base backup is whole and the log that it needs is in the store.
 * Files get their name only when they are whole, so a copy that was cut short is never used.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { regionOf, sites } from '../../world';
import { run } from './programs';
import { backupsFolder, makeFolder, own, writeWhole, type ServerRecord } from './record';

export interface BaseBackup {
  readonly id: string;
  readonly type: 'Full' | 'Customer On-Demand';
  /** ISO 8601. A restore to any moment from here on can start with this backup. */
  readonly completedAt: string;
  /** First segment of the log that the backup needs. */
  readonly startSegment: string;
}

/** What a restore must know of the server when nothing else of it is left. */
export interface StoreFacts {
  readonly resourceId: string;
  readonly name: string;
  readonly region: string;
  readonly administratorLogin: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly retentionDays: number;
  readonly geoRedundant: boolean;
  /** sku and storage in wire form: a restored server has the same unless told otherwise. */
  readonly shape: Readonly<Record<string, unknown>>;
  readonly createdAt: string;
  /** ISO 8601, once the server was deleted. */
  readonly droppedAt?: string;
  /** Of the copy in the paired region: when it was last brought up to date. */
  readonly replicatedAt?: string;
}

const segmentName = /^[0-9A-F]{24}$/;
const partialName = /^[0-9A-F]{24}\.partial$/;
const historyName = /^[0-9A-F]{8}\.history$/;

export class Store {
  constructor(readonly folder: string) {}

  static of(record: Pick<ServerRecord, 'name' | 'incarnation'>, region: string): Store {
    return new Store(path.join(backupsFolder, region, `${record.name}-${record.incarnation}`));
  }

  /** All stores that lie in a region. */
  static in(region: string): Store[] {
    const folder = path.join(backupsFolder, region);
    if (!fs.existsSync(folder)) return [];
    return fs.readdirSync(folder).map((name) => new Store(path.join(folder, name)));
  }

  get walFolder(): string {
    return path.join(this.folder, 'wal');
  }

  baseFolder(id: string): string {
    return path.join(this.folder, 'base', id);
  }

  make(): void {
    for (const folder of [this.folder, this.walFolder, path.join(this.folder, 'base')]) makeFolder(folder);
  }

  facts(): StoreFacts | undefined {
    const file = path.join(this.folder, 'store.json');
    return fs.existsSync(file) ? (JSON.parse(fs.readFileSync(file, 'utf8')) as StoreFacts) : undefined;
  }

  writeFacts(facts: StoreFacts): void {
    writeWhole(path.join(this.folder, 'store.json'), JSON.stringify(facts));
  }

  /** Usable base backups, oldest first. */
  bases(): BaseBackup[] {
    return read(path.join(this.folder, 'base'))
      .filter((name) => name.endsWith('.json'))
      .map((name) => JSON.parse(fs.readFileSync(path.join(this.folder, 'base', name), 'utf8')) as BaseBackup)
      .sort((a, b) => a.completedAt.localeCompare(b.completedAt));
  }

  publish(base: BaseBackup): void {
    writeWhole(path.join(this.folder, 'base', `${base.id}.json`), JSON.stringify(base));
  }

  /** @returns the newest base backup that a restore to `target` can start with. */
  baseFor(target?: Date): BaseBackup | undefined {
    return this.bases().findLast((base) => !target || Date.parse(base.completedAt) <= target.getTime());
  }

  segments(): string[] {
    return read(this.walFolder)
      .filter((name) => segmentName.test(name))
      .sort();
  }

  async remove(): Promise<void> {
    await fs.promises.rm(this.folder, { recursive: true, force: true });
  }

  /**
   * Copies what is new to the store of the paired region.
   * @param goOn asked before each file: false once the region can't be reached, and the rest stays as it was
   * @returns whether the copy is up to date
   */
  async replicateTo(target: Store, goOn: () => boolean): Promise<boolean> {
    const facts = this.facts();
    if (!facts) return false;
    target.make();
    const now = new Date().toISOString();
    if (!(await this.copyLog(target, goOn))) return false;
    const known = new Set(target.bases().map((base) => base.id));
    const news = this.bases().filter(({ id }) => !known.has(id));
    for (const base of news) {
      if (!goOn() || !(await copyBase(this.baseFolder(base.id), target.baseFolder(base.id)))) return false;
    }
    // The log that a base backup needs to its end may be newer than what was copied before it.
    if (news.length > 0 && !(await this.copyLog(target, goOn))) return false;
    for (const base of news) target.publish(base);
    target.writeFacts({ ...facts, replicatedAt: now });
    return true;
  }

  /** Whole segments first, then what was received of the next one: a reader always finds an unbroken log. */
  private async copyLog(target: Store, goOn: () => boolean): Promise<boolean> {
    const from = this.bases()[0]?.startSegment ?? '';
    const had = new Set(read(target.walFolder));
    const isNew = (name: string) => (segmentName.test(name) && name >= from) || historyName.test(name);
    const news = read(this.walFolder).filter((name) => isNew(name) && !had.has(name));
    const partial = read(this.walFolder).filter((name) => partialName.test(name));
    for (const name of [...news.sort(), ...partial]) {
      if (!goOn()) return false;
      // The receiver may have completed a partial segment meanwhile: then the next round takes it whole.
      if (!(await copyFile(path.join(this.walFolder, name), path.join(target.walFolder, name)))) return false;
    }
    for (const name of had) {
      const whole = name.slice(0, 24);
      if (partialName.test(name) && target.hasSegment(whole))
        fs.rmSync(path.join(target.walFolder, name), { force: true });
    }
    return true;
  }

  hasSegment(name: string): boolean {
    return fs.existsSync(path.join(this.walFolder, name));
  }

  /**
   * Removes what no restore within the retention can need: base backups older than the newest one that is itself older than the
   * retention, and the log before the first that stays.
   */
  async prune(retentionDays: number, now = new Date()): Promise<void> {
    const bases = this.bases();
    const limit = now.getTime() - retentionDays * 86_400_000;
    const first = Math.max(
      0,
      bases.findLastIndex((base) => Date.parse(base.completedAt) <= limit),
    );
    for (const base of bases.slice(0, first)) {
      fs.rmSync(`${this.baseFolder(base.id)}.json`, { force: true });
      await fs.promises.rm(this.baseFolder(base.id), { recursive: true, force: true });
    }
    const oldest = bases[first]?.startSegment;
    for (const name of this.segments()) {
      if (oldest && name < oldest) fs.rmSync(path.join(this.walFolder, name), { force: true });
    }
  }
}

const read = (folder: string) => (fs.existsSync(folder) ? fs.readdirSync(folder) : []);

async function copyFile(from: string, to: string): Promise<boolean> {
  const part = `${to}.incoming`;
  try {
    await fs.promises.copyFile(from, part, fs.constants.COPYFILE_FICLONE);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw cause;
  }
  own(part);
  await fs.promises.rename(part, to);
  return true;
}

async function copyBase(from: string, to: string): Promise<boolean> {
  if (!fs.existsSync(from)) return false;
  const part = `${to}.incoming`;
  await fs.promises.rm(part, { recursive: true, force: true });
  await fs.promises.rm(to, { recursive: true, force: true });
  await copyTree(from, part);
  await fs.promises.rename(part, to);
  return true;
}

/** Copies a folder with owners and modes; the copy shares blocks with the original where the file system can. */
export async function copyTree(from: string, to: string): Promise<void> {
  await run(undefined, 'cp', ['-a', '--reflink=auto', from, to]);
}

/** The vendor's regional pair, of the regions that exist here: the only place a geo-redundant backup goes to. */
export const pairOf = (region: string): string | undefined => {
  const known: readonly string[] = sites.map((site) => regionOf[site]);
  return known.includes(region) ? known.find((other) => other !== region) : undefined;
};
