/** A run's journal on this machine's disk: one line an entry, each on the disk before the call returns. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { StandbyError } from '../../failover/errors';
import { readLines, toLine } from '../../failover/journal';
import type { Instant } from '../../failover/model';
import type { JournalEntry } from '../../failover/ports';
import { projectFolder } from '../pulumi/command';

type Environment = Readonly<Record<string, string | undefined>>;

const fileName = 'journal.jsonl';
const runName = /^[0-9a-z][0-9a-z-]{0,63}$/;

/** Folder of journals, reports and exported rows: a folder a run. */
export const runsFolder = (environment: Environment): string =>
  path.resolve(environment['STANDBY_RUNS'] ?? path.join(projectFolder(environment), '.standby', 'runs'));

export function runFolder(environment: Environment, run: string): string {
  if (!runName.test(run)) {
    const fix = 'allowed are lower-case letters, digits and hyphens, as `standby runs` shows them';
    throw new StandbyError('RunUnknown', `run ${JSON.stringify(run.slice(0, 80))} is no name of a run: ${fix}`, {
      exit: 'usage',
    });
  }
  return path.join(runsFolder(environment), run);
}

const isMissing = (cause: unknown) => ['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '');

function unwritten(file: string, cause: unknown): StandbyError {
  const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
  const full = why === 'ENOSPC' || why === 'EDQUOT' || why === 'EFBIG';
  const fix = full ? 'make room' : 'make the folder writable';
  return new StandbyError(
    full ? 'JournalDiskFull' : 'JournalUnwritable',
    `the journal ${file} can't be written (${why}); nothing was done without it: ${fix}, or set STANDBY_RUNS to another disk, then \`standby resume\``,
    { exit: 'resumable', cause },
  );
}

/** A new name in a folder is on the disk when the folder is. */
function syncFolder(folder: string): void {
  const handle = fs.openSync(folder, 'r');
  try {
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
}

export class LocalJournal {
  /** Size and end of each file as this process left it: every entry is read once, not at each append. */
  private readonly known = new Map<string, { readonly size: number; readonly last: JournalEntry }>();

  constructor(private readonly environment: Environment) {}

  file(run: string): string {
    return path.join(runFolder(this.environment, run), fileName);
  }

  runs(): string[] {
    try {
      const folders = fs.readdirSync(runsFolder(this.environment), { withFileTypes: true });
      return folders
        .filter((entry) => entry.isDirectory() && runName.test(entry.name) && fs.existsSync(this.file(entry.name)))
        .map(({ name }) => name);
    } catch (cause) {
      if (isMissing(cause)) return [];
      throw cause;
    }
  }

  /** @returns the entries; none when there is no such run here. @throws StandbyError JournalBroken */
  read(run: string): JournalEntry[] {
    try {
      return readLines(fs.readFileSync(this.file(run), 'utf8'), run).entries;
    } catch (cause) {
      if (isMissing(cause)) return [];
      throw cause;
    }
  }

  /** @returns when the file was written last. */
  writtenAt(run: string): Instant | undefined {
    return fs.statSync(this.file(run), { throwIfNoEntry: false })?.mtimeMs;
  }

  /** @returns the last entry on the disk. */
  last(run: string): JournalEntry | undefined {
    const known = this.known.get(run);
    if (known && sizeOf(this.file(run)) === known.size) return known.last;
    return this.read(run).at(-1);
  }

  /** @returns the file as it is, a line that was never finished left out. */
  bytes(run: string): Buffer {
    try {
      const bytes = fs.readFileSync(this.file(run));
      return bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1);
    } catch (cause) {
      if (isMissing(cause)) return Buffer.alloc(0);
      throw cause;
    }
  }

  /**
   * Adds entries after those that are there, cutting off a line that was never finished.
   * @throws StandbyError JournalDiskFull, JournalUnwritable; the file then ends where it ended before.
   */
  append(run: string, entries: readonly JournalEntry[]): void {
    const file = this.file(run);
    let handle: number | undefined;
    try {
      const isNew = !fs.existsSync(file);
      if (isNew) fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
      handle = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
      const end = this.wholeEnd(handle, run);
      const bytes = Buffer.from(entries.map(toLine).join(''));
      writeAt(handle, end, bytes);
      this.known.set(run, { size: end + bytes.length, last: entries.at(-1)! });
      if (isNew) [path.dirname(file), path.dirname(path.dirname(file))].forEach(syncFolder);
    } catch (cause) {
      throw cause instanceof StandbyError ? cause : unwritten(file, cause);
    } finally {
      if (handle !== undefined) fs.closeSync(handle);
    }
  }

  /** Where the last finished line ends; what follows is cut off. Its act never began. */
  private wholeEnd(handle: number, run: string): number {
    const { size } = fs.fstatSync(handle);
    if (size === 0 || this.known.get(run)?.size === size) return size;
    const text = fs.readFileSync(this.file(run), 'utf8');
    const end = Buffer.byteLength(text.slice(0, readLines(text).whole));
    if (end < size) fs.ftruncateSync(handle, end);
    return end;
  }
}

const sizeOf = (file: string): number => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;

function writeAt(handle: number, end: number, bytes: Buffer): void {
  try {
    for (let done = 0; done < bytes.length;) done += fs.writeSync(handle, bytes, done, bytes.length - done, end + done);
    fs.fsyncSync(handle);
  } catch (cause) {
    // Half an entry must not stand before the one that is written when there is room again.
    fs.ftruncateSync(handle, end);
    throw cause;
  }
}
