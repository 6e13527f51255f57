/** `standby restore`: parse, say what is lost, ask, restore into a new server; or single tables, or the last clean second. */
import { Option, type Command } from 'commander';
import * as path from 'node:path';
import { findClean, parseAssertion } from '../adapters/backup/clean';
import { describeLoss, isLoss, lossAfter } from '../adapters/backup/loss';
import { checkLive, copyTables, diffTables, mergeTables, type DiffResult } from '../adapters/backup/partial';
import { isOver, targetOf } from '../adapters/backup/recovery/recovery';
import { froms, openScene, type From, type Scene } from '../adapters/backup/recovery/scene';
import { describeFinding, mostRestores } from '../backup/bisect';
import { parseCopySchema, parseTables, verdictOf, type TableName } from '../backup/merge';
import type { Instant, RecoveryRange } from '../backup/model';
import type { Call, ThrowAwayServer } from '../backup/ports';
import { parseLife, parseMoment } from '../failover/drill';
import { exitCodes, StandbyError } from '../failover/errors';
import { interruptible } from './interrupt';
import { print, printJson } from './output';
import { confirmByName } from './prompt';

const longestHours = 14 * 24;

interface Options {
  readonly at?: string;
  readonly latest?: true;
  readonly from: From;
  readonly name?: string;
  readonly ttl: string;
  readonly tables?: string;
  readonly into?: string;
  readonly diff?: true;
  readonly merge?: true;
  readonly overwriteChanged?: true;
  readonly findClean?: string;
  readonly since?: string;
  readonly stopWrites?: true;
  readonly openWrites?: true;
  readonly cleanup?: true;
  readonly json?: true;
  readonly yes?: true;
}

const examples = `
Examples:
  standby restore --at 2026-01-31T22:00:00Z                    into a new server beside the live one, to that second
  standby restore --latest --ttl 8h                            the newest there is; its time is over after 8 hours
  standby restore --tables bookings,shifts --at 2026-01-31T22:00:00Z --into recovered_jan
  standby restore --into recovered_jan --diff                  rows deleted, changed, added since; a file of them
  standby restore --into recovered_jan --merge                 deleted rows come back; changed ones stay as they are
  standby restore --into recovered_jan --merge --overwrite-changed
  standby restore --find-clean 'SELECT count(*) = 0 FROM users WHERE name LIKE $$%.locked$$' --stop-writes
  standby restore --open-writes                                gives back what --stop-writes took
  standby restore --cleanup                                    removes what killed restores have left, and what is past its --ttl

A server of your own (--from pgbackrest) is found by PGBACKREST_* and PG*, as pgBackRest and psql find it.
Nothing but --cleanup removes a new server that was asked for; what a killed restore has left goes after a day by standby watch.`;

export function addRestoreCommand(program: Command): void {
  program
    .command('restore')
    .description('the database as it was: a new server, single tables, or the last clean second')
    .option('--at <time>', 'moment in UTC')
    .option('--latest', 'the newest recovery point')
    .addOption(new Option('--from <source>', 'whose backups').choices([...froms]).default('azure'))
    .option('--name <name>', 'name of the new server (default: one that says what it is)')
    .option(
      '--ttl <duration>',
      `from then on --cleanup removes it, and standby watch says so: 10m to ${longestHours}h`,
      '168h',
    )
    .option('--tables <names>', 'only these, with commas, beside production')
    .option('--into <schema>', 'schema for them in the live database: recovered_…')
    .option('--diff', 'compare the copies with the live tables')
    .option('--merge', 'put rows back that were deleted since')
    .option('--overwrite-changed', 'and overwrite what was changed since with what it was')
    .option('--find-clean <sql>', 'one boolean, true when the data are clean: finds the last second at which it was')
    .option('--since <time>', 'it was clean then: begins there')
    .option('--stop-writes', 'takes the right to write from the applications first')
    .option('--open-writes', 'gives it back')
    .option('--cleanup', 'remove what restores have left, and new servers whose time is over')
    .option('--json', 'typed events, one a line')
    .option('--yes', 'do not ask')
    .addHelpText('after', examples)
    .action(restore);
}

/** One command line, one thing to do. */
const modes = ['cleanup', 'openWrites', 'findClean', 'merge', 'diff', 'tables', 'whole'] as const;
type Mode = (typeof modes)[number];

const usage = (message: string) => new StandbyError('WrongCommandLine', message, { exit: 'usage' });

/** @throws StandbyError WrongCommandLine */
function modeOf(options: Options): Mode {
  const mode = modes.find((name) => name === 'whole' || options[name] !== undefined) as Mode;
  const moment = options.at !== undefined || options.latest === true;
  if (options.at !== undefined && options.latest) throw usage('--at and --latest exclude each other');
  if (options.stopWrites && mode !== 'findClean') throw usage('--stop-writes goes with --find-clean');
  if (options.since !== undefined && mode !== 'findClean') throw usage('--since goes with --find-clean');
  if (options.overwriteChanged && mode !== 'merge') throw usage('--overwrite-changed goes with --merge');
  if (options.merge && options.diff) throw usage('--merge and --diff exclude each other: first look, then merge');
  if (['merge', 'diff', 'tables'].includes(mode) && options.into === undefined) {
    throw usage('say which schema: --into recovered_NAME');
  }
  if (options.into !== undefined && mode === 'whole') throw usage('--into goes with --tables, --diff or --merge');
  if ((mode === 'whole' || mode === 'tables') && !moment) throw usage('say which moment: --at TIME, or --latest');
  if (moment && mode !== 'whole' && mode !== 'tables') throw usage('--at and --latest go with a restore');
  return mode;
}

interface Deed {
  readonly scene: Scene;
  readonly options: Options;
  readonly call: Call;
  readonly now: Instant;
  readonly at: Instant | 'latest';
  readonly lifeMs: number;
  readonly since: Instant | undefined;
  readonly tables: readonly TableName[] | undefined;
  readonly schema: string;
  readonly assertion: string;
}

const deeds: Readonly<Record<Mode, (deed: Deed) => Promise<void>>> = {
  ...{ cleanup, openWrites, findClean: clean, merge, diff, tables: partial, whole },
};

async function restore(options: Options): Promise<void> {
  const now = Date.now();
  const mode = modeOf(options);
  const asked = {
    lifeMs: parseLife(options.ttl, longestHours),
    at: options.at === undefined ? ('latest' as const) : parseMoment(options.at, now),
    since: options.since === undefined ? undefined : parseMoment(options.since, now),
    tables: options.tables === undefined ? undefined : parseTables(options.tables),
    schema: options.into === undefined ? '' : parseCopySchema(options.into),
    assertion: options.findClean === undefined ? '' : parseAssertion(options.findClean),
  };
  await interruptible(
    async (signal) => {
      const scene = await openScene(options.from, process.env, signal);
      const progress = (message: string) =>
        options.json ? printJson({ code: 'RestoreProgress', at: Date.now(), message }) : print(`  ${message}`);
      await deeds[mode]({ scene, options, now, call: { signal, progress }, ...asked });
    },
    () =>
      process.stderr.write('stopping: what was begun is removed; once more leaves it to standby restore --cleanup\n'),
  );
}

const say = ({ options }: Deed, code: string, value: object, lines: readonly string[]): void => {
  if (options.json) printJson({ code, at: Date.now(), ...value });
  else lines.forEach(print);
};
const confirm = ({ options, call }: Deed, what: string, name: string): Promise<void> =>
  confirmByName(what, name, options.yes ?? false, call.signal);
const iso = (at: Instant) => new Date(at).toISOString();

/** @throws StandbyError OutsideRange */
async function momentOf({ scene, call, at }: Deed): Promise<{ range: RecoveryRange; moment: Instant }> {
  const range = await scene.recovery.range(call);
  if (at === 'latest') return { range, moment: range.latest };
  if (at >= range.earliest && at <= range.latest) return { range, moment: at };
  throw new StandbyError(
    'OutsideRange',
    `${iso(at)} can't be restored: the backups of ${scene.name} reach from ${iso(range.earliest)} to ${iso(range.latest)}`,
  );
}

/** Says what is lost before anything begins. */
async function tellLoss(deed: Deed, moment: Instant): Promise<void> {
  const loss = await lossAfter(deed.scene.live, moment, deed.call.signal);
  say(deed, 'RestoreLoss', { recoveryPoint: moment, loss }, [describeLoss(loss, moment)]);
}

async function whole(deed: Deed): Promise<void> {
  const { scene, at } = deed;
  const { moment } = await momentOf(deed);
  const name = deed.options.name ?? scene.newName(moment);
  say(deed, 'RestorePlanned', { from: scene.name, name, recoveryPoint: moment }, [
    `${scene.name} as it was at ${iso(moment)}, into the new server ${name}; ${scene.name} is not touched`,
  ]);
  await tellLoss(deed, moment);
  await confirm(deed, `restore into ${name}`, name);
  await handOver(deed, at, moment, name);
}

/** @param told - moment that the loss was told of: where the server came less far, what that loses besides is told and asked for. */
async function handOver(deed: Deed, at: Instant | 'latest', told: Instant, name: string): Promise<void> {
  const { scene, call } = deed;
  const server = await scene.recovery.restore(at, call, { name, expiresAt: deed.now + deed.lifeMs });
  const { recoveryPoint = told } = server;
  try {
    if (recoveryPoint < told && isLoss(await lossAfter(scene.live, recoveryPoint, call.signal, told))) {
      await tellLoss(deed, recoveryPoint);
      await confirm(deed, `keep ${name}, which goes back further than was said`, name);
    }
  } catch (cause) {
    await server.remove();
    throw cause;
  }
  tellServer(deed, server);
}

function tellServer(deed: Deed, server: ThrowAwayServer): void {
  const expiresAt = deed.now + deed.lifeMs;
  const next = deed.scene.switchTo(server);
  const point = server.recoveryPoint === undefined ? 'unknown' : iso(server.recoveryPoint);
  say(deed, 'Restored', { server, expiresAt, next }, [
    `restored: ${server.host}:${server.port} as ${server.user}, recovery point ${point}; ${deed.scene.remover} removes it from ${iso(expiresAt)} on`,
    ...next,
  ]);
}

async function partial(deed: Deed): Promise<void> {
  const { scene, call, at, schema } = deed;
  const tables = deed.tables ?? [];
  const { moment } = await momentOf(deed);
  const caveats = await checkLive(scene.live, schema, tables, call);
  say(deed, 'CopyPlanned', { from: scene.name, schema, tables, recoveryPoint: moment, caveats }, [
    `${tables.map(({ name }) => name).join(', ')} of ${scene.name} as of ${iso(moment)}, into schema ${schema} beside production: no live table is touched, nothing is lost`,
    ...caveats,
  ]);
  await confirm(deed, `copy into ${schema}`, schema);
  const server = await scene.recovery.restore(at, call);
  try {
    const recoveryPoint = server.recoveryPoint ?? moment;
    const note = { format: 1 as const, recoveryPoint, from: scene.name, tables };
    const rows = await copyTables(targetOf(server, scene.live.database), scene.live, schema, note, call);
    say(deed, 'Copied', { schema, rows }, [`copied; look at it with \`standby restore --into ${schema} --diff\``]);
  } finally {
    await server.remove();
  }
}

function differenceLines({ difference, caveats }: DiffResult): string[] {
  const tables = Object.entries(difference);
  return [
    ...tables.map(
      ([table, rows]) => `${table}: ${rows.deleted} rows deleted since, ${rows.changed} changed, ${rows.added} added`,
    ),
    ...caveats,
  ];
}

async function compared({ scene, schema, tables, call }: Deed): Promise<{ file: string; result: DiffResult }> {
  const file = path.join(scene.runs, `${schema}-diff.jsonl`);
  return { file, result: await diffTables(scene.live, schema, tables, file, call) };
}

async function diff(deed: Deed): Promise<void> {
  const { file, result } = await compared(deed);
  say(deed, 'Compared', { ...result, file }, [
    `since ${iso(result.recoveryPoint)}:`,
    ...differenceLines(result),
    `every row: ${file}`,
  ]);
}

async function merge(deed: Deed): Promise<void> {
  const { scene, schema, tables, call } = deed;
  const overwrite = deed.options.overwriteChanged ?? false;
  const { file, result } = await compared(deed);
  const verdicts = Object.entries(result.difference).map(([name, rows]) =>
    verdictOf({ schema: 'public', name }, rows, overwrite),
  );
  say(deed, 'MergePlanned', { ...result, overwrite, file }, [...verdicts, ...result.caveats, `every row: ${file}`]);
  await confirm(deed, `merge ${schema} into ${scene.name}`, schema);
  const options = { expected: result, overwrite, ...(tables ? { tables } : {}) };
  const written = await mergeTables(scene.live, schema, options, call);
  say(deed, 'Merged', { written }, ['merged']);
}

async function clean(deed: Deed): Promise<void> {
  const { scene, call, assertion, since } = deed;
  const found = await scene.recovery.range(call);
  const range = since === undefined ? found : { ...found, earliest: Math.max(found.earliest, since) };
  // The newest moment is asked for once more where the archive is behind.
  const most = mostRestores(range) + 1;
  say(deed, 'SearchPlanned', { range, mostRestores: most }, [
    `between ${iso(range.earliest)} and ${iso(range.latest)}: at most ${most} restores, each into a server that is thrown away`,
  ]);
  if (deed.options.stopWrites) {
    await confirm(deed, `stop all writes to ${scene.name}`, scene.name);
    const ended = await scene.stopWrites(call.signal);
    say(deed, 'WritesStopped', { ended }, [
      `writes are stopped, ${ended} sessions ended; \`standby restore --open-writes\` gives them back`,
    ]);
  } else await confirm(deed, `search ${scene.name}, which goes on being written to`, scene.name);
  const search = { recovery: scene.recovery, source: scene.name, database: scene.live.database, assertion, range };
  const { finding, restores } = await findClean({ ...search, folder: scene.runs }, call);
  say(deed, 'SearchEnded', { finding, restores }, [...describeFinding(finding), `${restores} restores`]);
  if (finding.outcome === 'noneClean') {
    process.exitCode = exitCodes.person;
    return;
  }
  await tellLoss(deed, finding.clean);
  await handOver(deed, finding.clean, finding.clean, deed.options.name ?? scene.newName(finding.clean));
}

async function openWrites(deed: Deed): Promise<void> {
  await confirm(deed, `let the applications write to ${deed.scene.name} again`, deed.scene.name);
  await deed.scene.openWrites(deed.call.signal);
  say(deed, 'WritesOpened', {}, ['writes are open']);
}

async function cleanup(deed: Deed): Promise<void> {
  const { scene, call, now } = deed;
  // One site may be silent: what is at the other one goes all the same.
  const found = await Promise.allSettled(
    scene.recoveries.map(async (recovery) =>
      (await recovery.remains(call)).map((one) => ({ ...one, remove: () => recovery.remove(one.name, call) })),
    ),
  );
  const remains = found.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  const silent = found.find((one) => one.status === 'rejected');
  const over = remains.filter((one) => isOver(one, now));
  const lines = remains.map(
    (one) =>
      `${one.name}: by ${one.who}, from ${one.source}, until ${iso(one.expiresAt)}${over.includes(one) ? '' : '; it stays until then'}`,
  );
  say(deed, 'RemainsFound', { remains: remains.map(({ remove: _remove, ...one }) => one) }, lines);
  if (over.length > 0) await confirm(deed, `remove ${over.map(({ name }) => name).join(', ')}`, 'remove');
  for (const { remove } of over) await remove();
  if (silent) throw silent.reason;
  const removed = over.map(({ name }) => name);
  say(deed, 'RemainsRemoved', { removed }, [removed.length > 0 ? 'removed' : 'nothing is left that is over']);
}
