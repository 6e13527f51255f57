/** What judging an exported state costs, and how that grows with the state. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseSettings } from '../policies/settings';
import { checkState } from '../policies/state';
import { costHere, inTurns, median, processCost, type Cost } from './measure';
import { cpu, row, type Outcome, type Row } from './report';
import { syntheticState, syntheticTemplate } from './states';

const sizes = [100, 1_000, 10_000] as const;
const rounds = 5;
const peerFile = (name: string) => path.join(__dirname, 'peers', name);

type Resources = readonly { readonly urn: string; readonly type: string }[];
const parse = (json: string) => JSON.parse(json) as { readonly deployment: { readonly resources: Resources } };

function judge(json: string): void {
  const { passed, findings } = checkState(parse(json), parseSettings({}));
  if (!passed) throw new Error(`the synthetic state should pass: ${findings[0]?.message}`);
}

/** The least: each resource is looked at once. */
function look(json: string): void {
  const matching = parse(json).deployment.resources.filter(({ urn, type }) => urn.includes(type));
  if (matching.length === 0) throw new Error('the synthetic state is empty');
}

/** Whatever the size, a sample goes over as many resources: so the engine is as warm, and the clock as exact. */
const perSample = Math.max(...sizes);
async function perResource(act: (json: string) => void, json: string, size: number): Promise<Cost> {
  const cost = await costHere(() => {
    for (let done = 0; done < perSample; done += size) act(json);
  });
  return { cpu: cost.cpu / perSample, wall: cost.wall / perSample };
}

const micro = (costs: readonly Cost[]) => cpu(costs).map((seconds) => seconds * 1e6);

async function growth(): Promise<readonly Row[]> {
  const contenders = sizes.flatMap((size) => {
    const json = JSON.stringify(syntheticState(size));
    return [
      [`ours ${size}`, () => perResource(judge, json, size)],
      [`limit ${size}`, () => perResource(look, json, size)],
    ] as const;
  });
  const costs = await inTurns<string>(rounds, Object.fromEntries(contenders));
  const of = (who: 'ours' | 'limit', size: number) => micro(costs[`${who} ${size}`] ?? []);
  const [small, large] = [Math.min(...sizes), Math.max(...sizes)];
  const grown = (who: 'ours' | 'limit') => [median(of(who, large)) / median(of(who, small))];
  const peer = 'limit: JSON.parse and a loop';
  return [
    ...sizes.map((size) => row(`a resource of ${size}, CPU`, 'us', [peer, of('limit', size)], of('ours', size))),
    row(`a resource of ${large} over one of ${small}`, 'times', [peer, grown('limit')], grown('ours')),
  ];
}

/** A judge of its own kind, if it is installed. */
interface Peer {
  readonly tool: string;
  readonly says: string;
  readonly sizes: readonly number[];
  readonly args: (state: string, template: string) => readonly string[];
}
const peers: readonly Peer[] = [
  {
    tool: 'opa',
    says: 'opa: 3 of the policies, in Rego',
    sizes,
    args: (state) => ['eval', '--fail-defined', '-d', peerFile('policy.rego'), '-i', state, 'data.standby.deny[_]'],
  },
  {
    tool: 'checkov',
    says: 'checkov: its own, an ARM template',
    sizes: [1_000],
    args: (_, template) => [
      '-f',
      template,
      '--framework',
      'arm',
      '--compact',
      '--quiet',
      '--soft-fail',
      '--skip-download',
    ],
  },
];

const isInstalled = (tool: string) =>
  (process.env['PATH'] ?? '').split(path.delimiter).some((folder) => fs.existsSync(path.join(folder, tool)));

function written(folder: string, name: string, content: object): string {
  const file = path.join(folder, name);
  fs.writeFileSync(file, JSON.stringify(content));
  return file;
}

/** A whole process, from its start to its word: what a pipeline waits for. */
async function files(folder: string, size: number, present: readonly Peer[]): Promise<readonly Row[]> {
  const state = written(folder, `state-${size}.json`, syntheticState(size));
  const template = written(folder, `template-${size}.json`, syntheticTemplate(size));
  const asked = present.filter((peer) => peer.sizes.includes(size));
  const costs = await inTurns<string>(rounds, {
    ours: () => processCost(process.execPath, ['policies/check.js', state]),
    limit: () => processCost(process.execPath, [peerFile('parse.js'), state]),
    ...Object.fromEntries(asked.map(({ tool, args }) => [tool, () => processCost(tool, args(state, template))])),
  });
  const of = (who: string) => cpu(costs[who] ?? []);
  const figure = `a file of ${size}, CPU`;
  return [
    row(figure, 's', ['limit: JSON.parse and a loop', of('limit')], of('ours')),
    ...asked.map(({ tool, says }) => row(figure, 's', [says, of(tool)], of('ours'))),
  ];
}

export async function policies(): Promise<Outcome> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-bench-'));
  try {
    const present = peers.filter(({ tool }) => isInstalled(tool));
    const rows = [...(await growth())];
    for (const size of sizes) rows.push(...(await files(folder, size, present)));
    const absent = peers.filter((peer) => !present.includes(peer));
    return { rows, notes: absent.map(({ tool }) => `${tool} is not on PATH, so it is left out`) };
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}
