/**
 * Which versions a blob has. It is a log: the intent is written before a blob is changed and the outcome after it, so that a
 * killed layer finds out what became of a change that it did not see the end of.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders } from '../world';

/** What the copy in Azurite does not know about the version that it holds. */
export interface Kept {
  readonly version: string;
  readonly etag: string;
  readonly lastModified: string;
  readonly created: string;
}

interface Entry {
  /** Undefined: the blob is deleted, or was written while versioning was off. */
  readonly current: string | undefined;
  readonly previous: ReadonlyMap<string, Kept>;
}

/** A change under way: `keep` becomes a previous version, `next` the current one. */
export interface Change {
  readonly next?: string;
  readonly keep?: Kept;
}

type Line =
  | { readonly type: 'begin'; readonly key: string; readonly change: Change }
  | { readonly type: 'end' | 'abort'; readonly key: string }
  | { readonly type: 'drop'; readonly key: string; readonly version: string }
  | { readonly type: 'purge'; readonly prefix: string };

const file = path.join(folders.blob, 'versions.log');
const none: Entry = { current: undefined, previous: new Map() };

/** Keys are `account/container/blob`. */
export class VersionIndex {
  private readonly entries = new Map<string, Entry>();
  private readonly open = new Map<string, Change>();

  constructor() {
    fs.mkdirSync(folders.blob, { recursive: true });
    const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
    // A line that was cut off by a kill says nothing: what it tells of was not begun.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    if (whole.length < text.length) fs.truncateSync(file, Buffer.byteLength(whole));
    for (const line of whole.split('\n').filter(Boolean)) this.apply(JSON.parse(line) as Line);
  }

  get(key: string): Entry {
    return this.entries.get(key) ?? none;
  }

  /** Changes that were begun and whose outcome is not known. */
  unfinished(): [key: string, change: Change][] {
    return [...this.open];
  }

  begin(key: string, change: Change): void {
    this.write({ type: 'begin', key, change });
  }

  end(key: string): void {
    this.write({ type: 'end', key });
  }

  abort(key: string): void {
    this.write({ type: 'abort', key });
  }

  /** Forgets a previous version. */
  drop(key: string, version: string): void {
    this.write({ type: 'drop', key, version });
  }

  /** Forgets all of a container or an account: keys that begin so. */
  purge(prefix: string): void {
    this.write({ type: 'purge', prefix });
  }

  private write(line: Line): void {
    fs.appendFileSync(file, JSON.stringify(line) + '\n', { mode: 0o600 });
    this.apply(line);
  }

  private apply(line: Line): void {
    if (line.type === 'purge') {
      for (const key of this.entries.keys()) if (key.startsWith(line.prefix)) this.entries.delete(key);
      return;
    }
    const previous = new Map(this.get(line.key).previous);
    if (line.type === 'begin') this.open.set(line.key, line.change);
    else if (line.type === 'drop') {
      previous.delete(line.version);
      this.entries.set(line.key, { current: this.get(line.key).current, previous });
    } else {
      const change = this.open.get(line.key);
      this.open.delete(line.key);
      if (line.type === 'abort' || !change) return;
      if (change.keep) previous.set(change.keep.version, change.keep);
      this.entries.set(line.key, { current: change.next, previous });
    }
  }
}
