/** `standby estate`: everything that a failover needs besides databases, taken and brought back. */
import type { Command } from 'commander';
import { restoreVersion, saveVersion, versionsOf } from '../adapters/backup/estate/documents';
import { documentStore, Estate, estateSets, type Outcome } from '../adapters/backup/estate/estate';
import { writeFiles } from '../adapters/backup/estate/files';
import { restoreSet } from '../adapters/backup/estate/keep';
import { openContext, openRemains } from '../adapters/wire';
import { describeDifference, type Difference } from '../backup/estate/set';
import type { DataSet } from '../backup/model';
import type { Call } from '../backup/ports';
import { exitCodes, StandbyError } from '../failover/errors';
import { interruptible } from './interrupt';
import { withJson } from './options';
import { print, printJson } from './output';
import { confirmByName } from './prompt';

interface Options {
  readonly at?: string;
  readonly json?: true;
  readonly yes?: true;
  readonly dryRun?: true;
  readonly id?: string;
  readonly into?: string;
}

const sets = estateSets.join(', ');
const examples = `
Data sets: ${sets}

Examples:
  standby estate run                            take everything, restore it from every vault, say what was found
  standby estate run names state                these two
  standby estate list names                     what is there, and whether it was ever restored
  standby estate restore names --dry-run        what is not as it was; nothing is changed
  standby estate restore names --into live      bring that back; what a failover moved stays where it leads
  standby estate restore secrets --into folder  as files that only you can read, in a folder that is new
  standby estate document 17/consent.pdf        versions of one document; --at VERSION --into FILE brings one back

STANDBY_AGE_IDENTITY_FILE is the key that opens backups; STANDBY_AGE_SECOND_IDENTITY_FILE another one, which secrets are tested with.
Ends with 0 when every data set was taken and restored soundly, 5 when one was not.`;

export function addEstateCommand(program: Command): void {
  const estate = program
    .command('estate')
    .description('names, state, secrets, source code and all else that a failover needs: taken, and brought back')
    .addHelpText('afterAll', examples);
  withJson(estate.command('run'))
    .argument('[sets...]', `data sets (default: all): ${sets}`)
    .description('take data sets into every vault, and restore each from there')
    .action(run);
  withJson(estate.command('list'))
    .argument('[set]', 'data set (default: all)')
    .description('backups in every vault, the newest first')
    .action(list);
  withJson(estate.command('restore'))
    .argument('<set>', 'data set')
    .description('bring a data set back: as files, or where it was')
    .option('--id <id>', 'backup to take (default: the newest that was restored soundly)')
    .option('--into <where>', 'a folder that is new, or the word live: where it was')
    .option('--dry-run', 'print what is different, change nothing')
    .option('--yes', 'do not ask')
    .action(restore);
  withJson(estate.command('document'))
    .argument('<name>', 'of a document in its store')
    .description('versions of one document; with --at and --into, one of them comes back')
    .option('--at <version>', 'version, as the list shows it')
    .option('--into <where>', 'a file that is new, or the word live: it becomes the newest version')
    .option('--yes', 'do not ask')
    .action(document);
}

const within = (options: Options, act: (estate: Estate, call: Call) => Promise<void>): Promise<void> =>
  interruptible(
    async (signal) => {
      const estate = new Estate(await openRemains(process.env, signal));
      const progress = (message: string) => {
        if (options.json) printJson({ at: Date.now(), code: 'EstateProgress', message });
        else if (process.stdout.isTTY) print(`      ${message}`);
      };
      await act(estate, { signal, progress });
    },
    () => process.stderr.write('stopping: what was not finished is no backup\n'),
  );

const parseSet = (text: string): DataSet => {
  const found = estateSets.find((name) => name === text);
  if (found) return found;
  throw new StandbyError('NoSuchSet', `"${text}" is no data set: there are ${sets}`, { exit: 'usage' });
};

async function run(names: readonly string[], options: Options): Promise<void> {
  const asked = names.map(parseSet);
  await within(options, async (estate, call) => {
    const outcomes = await estate.run(asked, (outcome) => report(outcome, options), call);
    if (!outcomes.every(isSound)) process.exitCode = exitCodes.safe;
  });
}

const isSound = ({ kept, skipped }: Outcome) =>
  skipped !== undefined || (kept !== undefined && kept.verdicts.every(({ defect }) => !defect));

function report(outcome: Outcome, { json }: Options): void {
  const { dataSet, kept, skipped, fault } = outcome;
  if (json) {
    const failed = fault ? { fault: { code: fault.code, message: fault.message } } : {};
    return printJson({ at: Date.now(), code: 'EstateTaken', ...outcome, ...failed });
  }
  const line = (what: string, text: string) => print(`  ${dataSet.padEnd(11)} ${what.padEnd(8)} ${text}`);
  if (fault) return line('failed', `${fault.code}: ${fault.message}`);
  if (skipped !== undefined) return line('none', skipped);
  for (const { vault, defect, checks } of kept!.verdicts) {
    const wrong = checks.find(({ passed }) => !passed);
    line(defect ?? 'sound', `${kept!.manifest.id} in ${vault}${wrong ? `: ${wrong.name}: ${wrong.detail}` : ''}`);
  }
}

async function list(name: string | undefined, options: Options): Promise<void> {
  const dataSet = name === undefined ? undefined : parseSet(name);
  await within(options, async (estate, call) => {
    const { found, silent } = await estate.list(dataSet, call);
    const own = found.filter(({ manifest }) => estateSets.includes(manifest.dataSet));
    for (const { manifest, vault, verdict } of own) {
      const state = verdict ? (verdict.defect ?? 'sound') : 'never restored';
      const at = new Date(manifest.recoveryPoint).toISOString();
      if (options.json) printJson({ code: 'EstateBackup', vault: vault.traits.name, manifest, verdict });
      else print(`  ${at}  ${manifest.dataSet.padEnd(11)} ${manifest.id}  ${vault.traits.name.padEnd(8)} ${state}`);
    }
    if (own.length === 0 && !options.json) print('no backup yet: `standby estate run` takes one');
    if (silent.length === 0) return;
    throw new StandbyError('VaultSilent', `${silent.join(', ')}: no answer; what is there is unknown`, {
      retryable: true,
    });
  });
}

async function restore(name: string, options: Options): Promise<void> {
  const dataSet = parseSet(name);
  const { into, dryRun = into === undefined, json } = options;
  await within(options, async (estate, call) => {
    const { set, vault, manifest, files } = await estate.open(dataSet, options.id, call);
    const at = new Date(manifest.recoveryPoint).toISOString();
    if (!json) print(`${dataSet} as it was at ${at}: backup ${manifest.id} in ${vault.traits.name}`);
    if (into !== undefined && into !== 'live' && !dryRun) {
      const written = writeFiles(files, into);
      if (json) printJson({ at: Date.now(), code: 'EstateWritten', dataSet, id: manifest.id, files: written });
      else written.forEach((file) => print(`  ${file}`));
      return;
    }
    const { differences } = await restoreSet(set, files, true, call);
    show(differences, options);
    if (dryRun) return;
    await confirmByName(`bring ${dataSet} back as it was at ${at}`, dataSet, options.yes ?? false, call.signal);
    const { done = [] } = await restoreSet(set, files, false, call);
    if (json) printJson({ at: Date.now(), code: 'EstateRestored', dataSet, id: manifest.id, done });
    else if (done.length === 0) print('nothing was to be changed');
    else done.forEach((line) => print(`  ${line}`));
  });
}

function show(differences: readonly Difference[], { json }: Options): void {
  if (json) for (const difference of differences) printJson({ code: 'EstateDifference', ...difference });
  else if (differences.length === 0) print('everything is as it was');
  else differences.forEach((difference) => print(`  ${describeDifference(difference)}`));
}

async function document(name: string, options: Options): Promise<void> {
  const { at, into, json } = options;
  if ((at === undefined) !== (into === undefined))
    throw new StandbyError('UsageError', 'say both --at VERSION and --into FILE (or live), or neither', {
      exit: 'usage',
    });
  await interruptible(async (signal) => {
    const store = documentStore(await openContext(process.env, signal));
    const call: Call = { signal, progress: () => undefined };
    if (at === undefined || into === undefined) {
      for (const one of await versionsOf(store, name, call)) {
        if (json) printJson({ code: 'DocumentVersion', name, ...one });
        else
          print(
            `  ${one.version}  ${String(one.bytes).padStart(10)} bytes${one.current ? '  what a reader gets' : ''}`,
          );
      }
      return;
    }
    if (into === 'live')
      await confirmByName(`make version ${at} of ${name} the newest`, name, options.yes ?? false, signal);
    const changed =
      into === 'live' ? await restoreVersion(store, name, at, call) : await saveVersion(store, name, at, into, call);
    if (json)
      printJson({ at: Date.now(), code: 'DocumentRestored', name, version: at, into, changed: changed ?? true });
    else print(changed === false ? 'it is that version already' : `${name} as it was at ${at}: ${into}`);
  });
}
