/** `standby backup`: parse, ask, render, exit code. */
import { InvalidArgumentError, type Command } from 'commander';
import type { Call } from '../backup/ports';
import { Backups, parseDataSet, type Outcome } from '../adapters/backup/backups';
import { checkMedium } from '../adapters/backup/vaults/offline';
import { openContext } from '../adapters/wire';
import { exitCodes, StandbyError } from '../failover/errors';
import { interruptible } from './interrupt';
import { withJson } from './options';
import { paintFor, print, printJson } from './output';
import { confirmByName } from './prompt';
import { listLines, prunedLines, scheduleLines, statusLines, takenLine, verdictLines } from './render/backup';

const examples = `
Examples:
  standby backup run                             take every database, into every vault
  standby backup run --database moodtalk
  standby backup verify                          restore the newest of each database, on this machine, and ask it
  standby backup verify 20261120T163406Z-3fa29c --vault offsite
  standby backup verify 20261120T163406Z-3fa29c --accept-emptied public.old
                                                 the table is meant to have no rows any more: who said so is kept
  standby backup status                          3 copies, 2 media, 1 offsite, 1 offline, 0 errors: what is really there
  standby backup list
  standby backup prune --dry-run
  standby backup offline /media/tape             a copy to take away

What is taken, where it goes and how long it stays is standby:backup in Pulumi.failover.yaml (docs/configuration.md).
verify needs STANDBY_AGE_IDENTITY_FILE; a vault at another provider STANDBY_OFFSITE_KEY_ID and STANDBY_OFFSITE_SECRET.
Ends with 0 when all is well, 5 when a backup has a defect, could not be taken, or something is missing or unknown.`;

interface Json {
  readonly json?: true;
}

export function addBackupCommand(program: Command): void {
  const backup = program
    .command('backup')
    .description('backups that prove themselves: taken, kept where nobody deletes them, restored')
    .addHelpText('afterAll', examples);
  withJson(backup.command('run'))
    .description('take databases of the server that has the business, into every vault')
    .option('--database <name>', 'only this one; may be repeated', gather, [])
    .action((options: Json & { database: string[] }) => act(options, (backups, call) => run(backups, options, call)));
  withJson(backup.command('list'))
    .description('what is in the vaults, and what a restore of it said')
    .action((options: Json) => act(options, (backups, call) => list(backups, options, call)));
  withJson(backup.command('verify'))
    .argument('[id]', 'of one backup (default: the newest of each database)')
    .description(
      'restore databases into a throw-away server on this machine, and ask it (`standby estate run` proves all else)',
    )
    .option('--data-set <name>', 'only this one, such as database/moodtalk; may be repeated', gather, [])
    .option('--vault <name>', 'restore from this vault (default: the site’s)')
    .option('--full', 'restore also what was restored lately with the same contents')
    .option('--accept-emptied <table>', 'with an id: it is meant to have lost its rows; may be repeated', gather, [])
    .option('--shard <index/count>', 'only its share of the databases: several machines at once', parseShard)
    .action((id: string | undefined, options: VerifyOptions) => {
      if (options.acceptEmptied.length > 0 && id === undefined) throw acceptedOfNone();
      return act(options, (backups, call) => verify(backups, id, options, call));
    });
  withJson(backup.command('prune'))
    .description('remove what retention wants no more; what the storage locks stays')
    .option('--dry-run', 'say what would go, change nothing')
    .option('--yes', 'do not ask')
    .action((options: PruneOptions) => act(options, (backups, call) => prune(backups, options, call)));
  withJson(backup.command('status'))
    .description('3-2-1-1-0 per data set, counted from what is there, with age against the recovery point objective')
    .action((options: Json) => act(options, (backups, call) => status(backups, options, call)));
  withJson(backup.command('offline'))
    .argument('<folder>', 'on a mounted medium')
    .description('write what was restored soundly to a medium, and read it back; then take it away')
    .action((folder: string, options: Json) =>
      act(options, (backups, call) => offline(backups, folder, options, call)),
    );
}

const gather = (value: string, all: readonly string[]): string[] => [...all, value];

interface Shard {
  readonly index: number;
  readonly of: number;
}

function parseShard(text: string): Shard {
  const [, index, of] = /^(\d{1,4})\/(\d{1,4})$/.exec(text) ?? [];
  if (index === undefined || Number(index) >= Number(of)) {
    throw new InvalidArgumentError('allowed is INDEX/COUNT, such as 0/4 to 3/4.');
  }
  return { index: Number(index), of: Number(of) };
}

async function act(options: Json, work: (backups: Backups, call: Call) => Promise<void>): Promise<void> {
  await interruptible(
    async (signal) => {
      const backups = new Backups(await openContext(process.env, signal));
      const progress = (message: string) => {
        if (options.json) printJson({ at: Date.now(), code: 'BackupProgress', message });
        else if (process.stdout.isTTY) print(`      ${message}`);
      };
      await work(backups, { signal, progress });
    },
    () => process.stderr.write('stopping: what was begun is no backup\n'),
  );
}

/** @param show - lines of one that went well. */
function report<T>(outcomes: readonly Outcome<T>[], code: string, { json }: Json, show: (done: T) => string[]): void {
  for (const { dataSet, done, fault } of outcomes) {
    if (json) {
      const failed = fault && { error: fault.code, message: fault.message };
      printJson({ at: Date.now(), code: fault ? 'Failed' : code, dataSet, ...(failed ?? { [code]: done }) });
    } else if (fault) print(`${dataSet}: ${fault.code}: ${fault.message}`);
    else show(done as T).forEach(print);
  }
  if (outcomes.some(({ fault }) => fault)) process.exitCode = exitCodes.safe;
}

async function run(backups: Backups, options: Json & { readonly database: readonly string[] }, call: Call) {
  report(await backups.run(options.database, call), 'BackupTaken', options, (manifest) => [takenLine(manifest)]);
}

async function list(backups: Backups, { json }: Json, call: Call): Promise<void> {
  const kept = await backups.list(call);
  if (json) kept.forEach((one) => printJson({ code: 'Backup', ...one }));
  else listLines(kept, paintFor(process.stdout)).forEach(print);
}

const acceptedOfNone = () =>
  new StandbyError(
    'UsageError',
    '--accept-emptied is said of one backup: write `standby backup verify ID --accept-emptied TABLE`',
    { exit: 'usage' },
  );

interface VerifyOptions extends Json {
  readonly dataSet: readonly string[];
  readonly vault?: string;
  readonly full?: true;
  readonly acceptEmptied: readonly string[];
  readonly shard?: Shard;
}

async function verify(backups: Backups, id: string | undefined, options: VerifyOptions, call: Call): Promise<void> {
  const { dataSet, vault, full, shard, acceptEmptied } = options;
  const wish = {
    ...(id === undefined ? {} : { id }),
    ...(dataSet.length === 0 ? {} : { dataSets: dataSet.map(parseDataSet) }),
    ...(vault === undefined ? {} : { vault }),
    ...(shard ? { shard } : {}),
    ...{ full: full ?? false, acceptEmptied },
  };
  const outcomes = await backups.verify(wish, call);
  const paint = paintFor(process.stdout);
  report(outcomes, 'BackupVerified', options, (verdict) => verdictLines(verdict, paint));
  if (outcomes.some(({ done }) => done?.defect !== undefined)) process.exitCode = exitCodes.safe;
}

interface PruneOptions extends Json {
  readonly dryRun?: true;
  readonly yes?: true;
}

async function prune(backups: Backups, options: PruneOptions, call: Call): Promise<void> {
  const dryRun = options.dryRun ?? false;
  if (!dryRun)
    await confirmByName('remove backups that are past their time', 'prune', options.yes ?? false, call.signal);
  const pruned = await backups.prune(dryRun, call);
  if (options.json) pruned.forEach((one) => printJson({ code: dryRun ? 'PrunePlanned' : 'Pruned', ...one }));
  else prunedLines(pruned, dryRun).forEach(print);
}

async function status(backups: Backups, { json }: Json, call: Call): Promise<void> {
  const [all, schedule] = await Promise.all([backups.status(call), backups.schedule(call)]);
  if (json) {
    all.forEach((one) => printJson({ code: 'BackupStatus', ...one }));
    printJson({ code: 'BackupSchedule', configured: schedule !== undefined, checks: schedule ?? [] });
  } else {
    const paint = paintFor(process.stdout);
    [...statusLines(all, paint), ...scheduleLines(schedule, paint)].forEach(print);
  }
  if (![...all, ...(schedule ?? [])].every(({ passed }) => passed)) process.exitCode = exitCodes.safe;
}

async function offline(backups: Backups, folder: string, { json }: Json, call: Call): Promise<void> {
  const receipt = await backups.exportTo(folder, call);
  const wrong = await checkMedium(receipt);
  const { label, backups: taken } = receipt;
  if (json) printJson({ code: 'BackupExported', receipt, wrong });
  else {
    print(`${taken.length} backups are on ${label}, in ${receipt.folder}, every byte read back`);
    print('it counts as offline once it can no longer be read from here: unmount it, take it away');
  }
  if (wrong.length > 0) process.exitCode = exitCodes.safe;
}
