/** Backup, restore check and restore of a database server, beside what the field's own tools take for it. */
import * as fs from 'node:fs';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { makeScratch } from '../adapters/backup/scratch';
import type { Call } from '../backup/ports';
import { StandbyError } from '../failover/errors';
import { ownFolder, Source } from './databases';
import { baseBackup, plainPgBackRest, standbyDumps, standbyOwnServer, type Tidy } from './keepers';
import { inTurns, median, treeCost, type Cost } from './measure';
import { cpu, row, wall, type Outcome, type Row } from './report';

const list = (kind: z.ZodType<number, number>) =>
  z
    .string()
    .transform((text) => text.split(',').map(Number))
    .pipe(z.array(kind).min(1));
const optionsSchema = z.object({
  /** Gigabytes of rows. Backup and restore are measured on the usual size, or on the largest of these. */
  sizes: list(z.number().min(0.001).max(100)).default([0.25, 0.5, 1, 2]),
  databases: list(z.int().min(1).max(100)).default([1, 4, 16]),
  rounds: z.coerce.number().pipe(z.int().min(1).max(20)).default(3),
});

/** Of each, where their number grows. */
const smallGigabytes = 1 / 64;
const usualGigabytes = 1;

/** @throws StandbyError OptionRefused */
export function optionsOf(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    const { values } = parseArgs({ args: [...args], options: { sizes: text, databases: text, rounds: text } });
    return optionsSchema.parse(values);
  } catch (cause) {
    const allowed = '--sizes 0.25,0.5 (gigabytes), --databases 1,4 and --rounds 3';
    throw new StandbyError('OptionRefused', `"${args.join(' ')}" is not understood; allowed are ${allowed}`, {
      ...{ exit: 'usage', cause },
    });
  }
}

const plain = 'plain pgBackRest';
const acts = {
  'dump check': 'restore check',
  'dump re-check': 'unchanged re-check',
  'own verify': 'pgBackRest by Standby, verify',
  'plain verify': `${plain}, verify`,
  'base verify': 'pg_verifybackup',
  'own restore': 'pgBackRest by Standby, restore',
  'plain restore': `${plain}, restore`,
  'base restore': 'pg_basebackup, copy and start',
  'dump backup': 'dump by Standby',
  'own backup': 'pgBackRest by Standby, backup',
  'plain backup': `${plain}, backup`,
  'base backup': 'pg_basebackup',
} as const;
type Act = keyof typeof acts;
type Costs = Readonly<Partial<Record<Act, readonly Cost[]>>>;

const verifying: readonly Act[] = ['dump check', 'dump re-check', 'own verify', 'plain verify', 'base verify'];
const restoring: readonly Act[] = ['own restore', 'plain restore', 'base restore'];
// The last: more backups in a repository are more to verify.
const taking: readonly Act[] = ['dump backup', 'own backup', 'plain backup', 'base backup'];

interface Data {
  readonly databases: number;
  readonly gigabytes: number;
}
/** Databases that grow, or their number. */
const shown = ({ databases, gigabytes }: Data) =>
  gigabytes === databases * smallGigabytes ? `${databases} x ${smallGigabytes * 1_024} MB` : `${gigabytes} GB`;

/** Makes a server with such data, has every keeper take it once, and measures acts on that, each group in turns. */
async function measure(
  data: Data,
  groups: readonly (readonly Act[])[],
  { rounds, root }: { readonly rounds: number; readonly root: string },
  call: Call,
): Promise<Costs> {
  const folder = ownFolder(root, 'server');
  fs.chmodSync(folder, 0o755);
  const source = new Source(folder, data.databases, data.gigabytes);
  try {
    call.progress(`${shown(data)}: rows are written`);
    await source.create(call);
    const keepers = await takeOnce(folder, source, call);
    let costs: Costs = {};
    for (const group of groups) {
      const contenders = group.map((act) => [
        act,
        () => timed(folder, `${shown(data)}: ${acts[act]}`, keepers[act], call),
      ]);
      costs = { ...costs, ...(await inTurns<Act>(rounds, Object.fromEntries(contenders) as never)) };
    }
    return costs;
  } finally {
    await source.stop();
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function timed(folder: string, what: string, act: () => Promise<void | Tidy>, call: Call): Promise<Cost> {
  call.signal.throwIfAborted();
  const { cost, result: tidy } = await treeCost(folder, act);
  await tidy?.();
  call.progress(`${what}: ${cost.wall.toFixed(2)} s, CPU ${cost.cpu.toFixed(2)} s`);
  return cost;
}

async function takeOnce(
  folder: string,
  source: Source,
  { signal, progress }: Call,
): Promise<Record<Act, () => Promise<void | Tidy>>> {
  const call = { signal, progress: () => undefined };
  const dumps = await standbyDumps(folder, source, call);
  const base = baseBackup(folder, source, call);
  const peer = await plainPgBackRest(folder, source, call);
  const { keeper: own, tool } = standbyOwnServer(folder, source, call);
  const archive = `${tool.serverSettings['archive_command']} && ${peer.archive}`;
  await source.start({ ...tool.serverSettings, archive_command: archive }, tool.secrets, call);
  await Promise.all([tool.createStanza(call), peer.create()]);
  progress('each takes its first backup');
  for (const keeper of [own, peer.keeper, base, dumps]) await keeper.backup();
  await dumps.check();
  // Of the same data: the second is the one that need not be restored.
  await dumps.backup();
  return {
    ...{ 'dump backup': dumps.backup, 'dump check': dumps.check, 'dump re-check': dumps.checkUnchanged },
    ...{ 'own backup': own.backup, 'own verify': own.verify, 'own restore': own.restore },
    ...{ 'plain backup': peer.keeper.backup, 'plain verify': peer.keeper.verify, 'plain restore': peer.keeper.restore },
    ...{ 'base backup': base.backup, 'base verify': base.verify, 'base restore': base.restore },
  };
}

/** Wall and CPU of two acts on the same data. */
const pair = (figure: string, costs: Costs, peer: Act, ours: Act): Row[] => [
  row(`${figure}, wall`, 's', [acts[peer], wall(costs[peer] ?? [])], wall(costs[ours] ?? [])),
  row(`${figure}, CPU`, 's', [acts[peer], cpu(costs[peer] ?? [])], cpu(costs[ours] ?? [])),
];

const verifyRows = (data: string, costs: Costs): Row[] => [
  ...pair(`${data}: restore check`, costs, 'plain verify', 'dump check'),
  ...pair(`${data}: restore check`, costs, 'base verify', 'dump check'),
  ...pair(`${data}: unchanged re-check`, costs, 'dump check', 'dump re-check'),
  ...pair(`${data}: verify, own server`, costs, 'plain verify', 'own verify'),
];
const keepRows = (data: string, costs: Costs): Row[] => [
  ...pair(`${data}: backup, dump`, costs, 'plain backup', 'dump backup'),
  ...pair(`${data}: backup, dump`, costs, 'base backup', 'dump backup'),
  ...pair(`${data}: backup, own server`, costs, 'plain backup', 'own backup'),
  ...pair(`${data}: backup, own server`, costs, 'base backup', 'own backup'),
  ...pair(`${data}: restore, own server`, costs, 'plain restore', 'own restore'),
  ...pair(`${data}: restore, own server`, costs, 'base restore', 'own restore'),
  ...pair(`${data}: restore check`, costs, 'plain restore', 'dump check'),
];

/** What one more costs among many, over what it costs alone: 1 is linear. */
function growthRow(unit: string, measured: readonly (readonly [count: number, costs: Costs])[]): Row[] {
  const [[few, small], [many, large]] = [measured[0]!, measured.at(-1)!];
  if (few === many) return [];
  const grown = (act: Act) => [median(cpu(large[act] ?? [])) / many / (median(cpu(small[act] ?? [])) / few)];
  const figure = `restore check, CPU of a ${unit} of ${many} over one of ${few}`;
  return [row(figure, 'times', [acts['plain verify'], grown('plain verify')], grown('dump check'))];
}

const notes = [
  'CPU is of all that took part: tools, the source, the restored server. Rows are random bytes, which no compression makes smaller',
  'a restore check fetches, opens, restores into an empty server and asks; verify and pg_verifybackup hold checksums against a list',
  'all write to a folder; dumps are sealed (age), pgBackRest by Standby is encrypted (AES), plain pgBackRest and pg_basebackup are not',
  'a restore ends when the restored server has counted every row',
];

async function all(
  { sizes, databases, rounds }: ReturnType<typeof optionsOf>,
  root: string,
  call: Call,
): Promise<Row[]> {
  const ascending = (values: readonly number[]) => [...new Set(values)].sort((a, b) => a - b);
  const own = ascending(sizes);
  const main = own.includes(usualGigabytes) ? usualGigabytes : own.at(-1)!;
  const rows: Row[] = [];
  const [ofSizes, ofDatabases]: [[number, Costs][], [number, Costs][]] = [[], []];
  for (const gigabytes of own) {
    const groups = gigabytes === main ? [[...verifying, ...restoring], taking] : [verifying];
    const costs = await measure({ databases: 1, gigabytes }, groups, { rounds, root }, call);
    if (gigabytes === main) rows.unshift(...keepRows(shown({ databases: 1, gigabytes }), costs));
    rows.push(...verifyRows(shown({ databases: 1, gigabytes }), costs));
    ofSizes.push([gigabytes, costs]);
  }
  for (const count of ascending(databases)) {
    const data = { databases: count, gigabytes: count * smallGigabytes };
    const costs = await measure(data, [verifying], { rounds, root }, call);
    rows.push(...verifyRows(shown(data), costs));
    ofDatabases.push([count, costs]);
  }
  return [...rows, ...growthRow('GB', ofSizes), ...growthRow('database', ofDatabases)];
}

export async function backup(args: readonly string[]): Promise<Outcome> {
  const options = optionsOf(args);
  const root = await makeScratch('bench', process.env);
  fs.chmodSync(root, 0o755);
  const stop = new AbortController();
  const interrupt = () => stop.abort(new StandbyError('Interrupted', 'interrupted; all that was made is removed'));
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.once(signal, interrupt);
  try {
    const call = { signal: stop.signal, progress: (message: string) => console.error(`  ${message}`) };
    return { rows: await all(options, root, call), notes };
  } finally {
    for (const signal of signals) process.off(signal, interrupt);
    fs.rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  }
}
