/** Data set `journal`: the record of every run, of all machines. */
import type { ContainerClient } from '@azure/storage-blob';
import type { Difference, EstateFile, EstateSet } from '../../../backup/estate/set';
import type { Call } from '../../../backup/ports';
import { StandbyError } from '../../../failover/errors';
import { readLines, toLine, verifyChain } from '../../../failover/journal';
import type { JournalEntry, RecordedRun } from '../../../failover/ports';
import { createJournal, type TwofoldJournal } from '../../journal/journal';
import { jsonFile, textFile } from './files';

export interface JournalPlace {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly container: () => ContainerClient;
}

const ending = '.jsonl';
/** How many entries each run has: where nothing was ever carried out, that is what is kept. */
const indexFile = 'runs.json';

export const journalSet = (place: JournalPlace): EstateSet => ({
  dataSet: 'journal',
  tool: 'standby runs',
  collect: (call) => collect(place, call),
  compare: (files) => compare(place, files),
  restore: (files, call) => restore(place, files, call),
});

/** A journal that this machine alone knows is not all of them: a backup without the store's would look whole. */
async function withJournal<T>(place: JournalPlace, act: (journal: TwofoldJournal) => Promise<T>): Promise<T> {
  let said: string | undefined;
  const journal = createJournal({ ...place, warn: (message) => (said ??= message) });
  const result = await act(journal);
  await journal.close();
  if (said === undefined) return result;
  throw new StandbyError('JournalIncomplete', `${said}: nothing was taken or put back for certain; try again`, {
    retryable: true,
  });
}

/** @throws StandbyError JournalBroken */
async function runsOf(place: JournalPlace): Promise<readonly RecordedRun[]> {
  const runs = await withJournal(place, (journal) => journal.runs());
  for (const { broken } of runs) if (broken) throw broken;
  return runs;
}

async function collect(place: JournalPlace, { progress }: Call): Promise<readonly EstateFile[]> {
  const runs = await runsOf(place);
  progress(`${runs.length} runs`);
  const files = runs.map(({ run, entries }) => {
    verifyChain(entries);
    return textFile(`${run}${ending}`, entries.map(toLine).join(''));
  });
  return [
    jsonFile(
      indexFile,
      runs.map(({ run, entries }) => ({ run, entries: entries.length })),
    ),
    ...files,
  ];
}

const runsIn = (files: readonly EstateFile[]) => files.filter(({ name }) => name.endsWith(ending));
const entriesOf = ({ bytes }: EstateFile): readonly JournalEntry[] => readLines(bytes.toString('utf8')).entries;
const runOf = ({ name }: EstateFile) => name.slice(0, -ending.length);
const sameBeginning = (one: readonly JournalEntry[], other: readonly JournalEntry[]) => {
  const length = Math.min(one.length, other.length);
  return length === 0 || one[length - 1]?.hash === other[length - 1]?.hash;
};

async function compare(place: JournalPlace, files: readonly EstateFile[]): Promise<readonly Difference[]> {
  const now = new Map((await runsOf(place)).map(({ run, entries }) => [run, entries]));
  return runsIn(files).flatMap((file): Difference[] => {
    const [kept, there] = [entriesOf(file), now.get(runOf(file)) ?? []];
    const what = `run ${runOf(file)}`;
    const detail = `${there.length} entries there, ${kept.length} in the backup`;
    if (there.length === 0) return [{ what, how: 'missing', detail }];
    // A run that went on since the backup has all that the backup has.
    return sameBeginning(kept, there) && there.length >= kept.length ? [] : [{ what, how: 'different', detail }];
  });
}

/** Entries are added behind those that are there, on this machine and in the store; nothing that is there is written over. */
async function restore(place: JournalPlace, files: readonly EstateFile[], call: Call): Promise<readonly string[]> {
  return withJournal(place, async (journal) => {
    const done: string[] = [];
    for (const file of runsIn(files)) {
      const kept = entriesOf(file);
      verifyChain(kept);
      const there = await journal.read(runOf(file));
      if (!sameBeginning(kept, there)) {
        throw new StandbyError(
          'JournalBroken',
          `run ${runOf(file)} is another one here than in the backup: keep both, take the backup's as files (--into FOLDER)`,
          { exit: 'person' },
        );
      }
      const lacking = kept.slice(there.length);
      for (const entry of lacking) await journal.append(entry);
      if (lacking.length === 0) continue;
      call.progress(`run ${runOf(file)}`);
      done.push(`run ${runOf(file)}: ${lacking.length} entries`);
    }
    return done;
  });
}
