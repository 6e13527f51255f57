/**
 * The main job: both sites are built, PROD is really taken down, INTG takes over, and the business comes home; once with PROD's
 * cluster gone (1a), once with all of PROD gone and only its backup left (1b), once as planned, once with all of PROD gone and a
 * replica at INTG (1c). Before all but 1b INTG's platform stands prepared. Every figure is measured by the outside client.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setSilence } from '../silence';
import { down, up as startSandbox, type Report } from '../supervisor';
import { geoReplicationSeconds, repository, type Site } from '../world';
import { backupConfiguration, exerciseBackups, type BackupsResult } from './backups';
import { OutsideClient } from './client';
import { backUp, createUser, loadData } from './data';
import { loss, recovery, refusal, type Loss } from './measure';
import * as pulumi from './pulumi';
import { failoverView, siteView, type SiteView } from './view';
import { Timeline, until, type StepTime } from './timeline';
import { byEngine, byPulumi, type Way } from './ways';

const stacks: readonly pulumi.Stack[] = ['prod', 'intg', 'failover'];
const settleSeconds = 60;

export type Branch = '1a' | '1b' | 'switchover' | '1c';

interface Row {
  readonly branch: Branch;
  /** What goes silent; nothing for a planned change of role. */
  readonly outage?: 'prod' | 'prod-cluster';
  /** What will serve at INTG runs already, and works on that. */
  readonly prepared?: 'database' | 'replica';
  /** Seconds of acknowledged writes that it may lose here. */
  readonly statedWindowSeconds: number;
  /** Seconds from the command until the outside is served; for a planned one, seconds of refused writes. */
  readonly targetSeconds: number;
}

/** 1a works on PROD's database; 1b on the last copy of its backup; 1c on what the replica had received. */
const rows: readonly Row[] = [
  { branch: '1a', outage: 'prod-cluster', prepared: 'database', statedWindowSeconds: 0, targetSeconds: 20 },
  { branch: '1b', outage: 'prod', statedWindowSeconds: geoReplicationSeconds + 3, targetSeconds: 60 },
  { branch: 'switchover', prepared: 'replica', statedWindowSeconds: 0, targetSeconds: 5 },
  { branch: '1c', outage: 'prod', prepared: 'replica', statedWindowSeconds: 3, targetSeconds: 15 },
];

interface Measured {
  /** From the outage, or from the command of a planned change, to the first success of the last target. */
  readonly recoveryTimeSeconds: number;
  readonly recoveryByTarget: Readonly<Record<string, number | undefined>>;
  /** Longest time without an acknowledged write. */
  readonly refusedWritesSeconds: number;
  readonly rowsLost: number;
  readonly steps: readonly StepTime[];
}

interface BranchResult extends Measured {
  readonly branch: Branch;
  /** From the command to the first success of the last target. */
  readonly commandSeconds: number;
  readonly targetSeconds: number;
  readonly dataLossWindowSeconds: number;
  readonly statedWindowSeconds: number;
  /** The way home: no row that INTG acknowledged may be lost on it. */
  readonly failback: Measured;
}

interface Result {
  way: Way['name'];
  backups?: BackupsResult;
  branches: BranchResult[];
  previewsClean: boolean;
  setupSeconds: number;
  totalSeconds: number;
  failure?: string;
}

export interface ExerciseOptions {
  readonly keep: boolean;
  /** By changes of configuration and `pulumi up` alone: branches 1a and 1b. @default - by the engine */
  readonly plainPulumi: boolean;
  readonly report: Report;
}

/** @returns the exit code: 0 only if every host came back, no row outside the stated window was lost, every preview is clean. */
export async function exercise({ keep, plainPulumi, report }: ExerciseOptions): Promise<number> {
  const timeline = new Timeline(report);
  const way = plainPulumi ? byPulumi() : byEngine(report);
  const result: Result = { way: way.name, branches: [], previewsClean: false, setupSeconds: 0, totalSeconds: 0 };
  try {
    await new Exercise(timeline, result, way, report).run();
  } catch (cause) {
    result.failure = cause instanceof Error ? cause.message : String(cause);
  } finally {
    if (!keep) await timeline.step('down', 'sandbox down', () => down(report));
  }
  result.totalSeconds = timeline.seconds;
  write(result);
  summarize(result, report);
  return result.failure ? 1 : 0;
}

class Exercise {
  private client!: OutsideClient;
  private prod!: SiteView;
  private rows = 0;
  /** Rows that an earlier branch has lost, and said so. */
  private readonly gone = new Set<number>();

  constructor(
    private readonly timeline: Timeline,
    private readonly result: Result,
    private readonly way: Way,
    private readonly report: Report,
  ) {}

  async run(): Promise<void> {
    await this.setUp();
    this.client.start();
    try {
      await this.timeline.step('steady', 'the outside client sees PROD everywhere', () =>
        this.seen('prod', Date.now()),
      );
      this.result.setupSeconds = this.timeline.seconds;
      if (this.way.name === 'engine') this.result.backups = await this.backups();
      for (const row of rows.filter(({ branch }) => this.way.branches.includes(branch))) await this.branch(row);
    } finally {
      await this.client.stop();
    }
    this.result.previewsClean = true;
  }

  private async setUp(): Promise<void> {
    const { timeline } = this;
    await timeline.step('sandbox', 'a fresh sandbox up', async () => {
      await down(() => undefined);
      await startSandbox(this.report);
    });
    await timeline.step('stacks', 'pulumi stack init', async () => {
      for (const stack of stacks) await pulumi.create(stack);
    });
    await timeline.step('sites', 'pulumi up -s prod, -s intg', () =>
      Promise.all([pulumi.up('prod'), pulumi.up('intg')]),
    );
    this.prod = siteView('prod', await pulumi.outputs('prod'));
    await timeline.step('failover', 'pulumi up -s failover', async () => {
      await pulumi.configure('failover', await backupConfiguration(this.prod.database.database));
      await pulumi.up('failover');
    });
    const { zone, hosts } = failoverView(await pulumi.outputs('failover'));
    const user = { name: 'exercise', password: randomBytes(12).toString('hex') };
    this.client = new OutsideClient(zone, Object.keys(hosts), user);
    this.rows = await timeline.step('data', 'public data set loaded', () => loadData(this.prod.database));
    await timeline.step('backup', `backup of ${this.rows} rows`, () =>
      backUp(this.prod.resourceGroup, this.prod.database.server, 'after-load'),
    );
    await timeline.step('user', 'user created at the IDP', () =>
      createUser(this.client, zone, this.prod.identity.realm, this.prod.identity.admin, user),
    );
  }

  private async backups(): Promise<BackupsResult> {
    const seen = await exerciseBackups(this.timeline, this.prod.database);
    this.report(
      `backups: ${(seen.takenBytes / 1e6).toFixed(1)} MB taken in ${seen.takenSeconds.toFixed(1)} s, restored and asked in ${seen.verifiedSeconds.toFixed(1)} s; a damaged one is ${seen.damaged}, so ${seen.newestSound} counts; ${seen.rowsBack} of ${seen.rowsDeleted} deleted rows back in ${seen.rowsBackSeconds.toFixed(1)} s`,
    );
    return seen;
  }

  private async branch(row: Row): Promise<void> {
    const { timeline, way } = this;
    const { branch, outage, prepared } = row;
    if (prepared) {
      const what = prepared === 'replica' ? 'a replica at INTG, and its platform on it' : 'INTG’s platform';
      await timeline.step(`${branch}-prepare`, `${branch}: ${what} prepared`, () => way.prepare(prepared));
    }
    const outageAt = Date.now();
    if (outage) {
      await timeline.step(`${branch}-outage`, `${branch}: ${outage} is silent`, async () =>
        setSilence('prod', outage === 'prod' ? 'site' : 'cluster'),
      );
    }
    const commandAt = Date.now();
    const away = await this.move(`${branch}-failover`, `${branch}: ${way.describe(branch)}`, 'intg', outageAt, () =>
      way.away(branch),
    );
    const lost = await this.loss(outageAt);
    const command = away.recoveryTimeSeconds - (commandAt - outageAt) / 1000;
    this.report(
      `${branch}: recoveryTime ${away.recoveryTimeSeconds.toFixed(1)} s (${command.toFixed(1)} s of the command), writes refused ${away.refusedWritesSeconds.toFixed(1)} s, dataLossWindow ${lost.windowSeconds.toFixed(1)} s (${lost.rowsLost} rows)`,
    );
    if (lost.windowSeconds > row.statedWindowSeconds || (lost.rowsLost > 0 && row.statedWindowSeconds === 0)) {
      throw new Error(
        `branch ${branch} lost ${lost.rowsLost} rows over ${lost.windowSeconds.toFixed(1)} s; stated are at most ${row.statedWindowSeconds} s`,
      );
    }
    await this.checkPreviews(branch);

    if (outage) await timeline.step(`${branch}-return`, 'PROD answers again', async () => setSilence('prod', 'none'));
    const homeAt = Date.now();
    const failback = await this.move(
      `${branch}-failback`,
      `${branch}: ${way.describe('failback')}`,
      'prod',
      homeAt,
      () => way.home(branch),
    );
    const onIntg = this.client.acknowledged.filter((one) => one.site === 'intg' && one.at >= outageAt);
    const homeLoss = await this.loss(homeAt);
    if (homeLoss.rowsLost)
      throw new Error(`failback of ${branch} lost ${homeLoss.rowsLost} acknowledged rows; allowed: 0`);
    this.report(
      `${branch}: home again, writes refused ${failback.refusedWritesSeconds.toFixed(1)} s, ${onIntg.length} rows written on INTG, none of them lost`,
    );
    await this.checkPreviews(`${branch}-failback`);
    this.result.branches.push({
      ...{ branch, ...away, commandSeconds: command, targetSeconds: row.targetSeconds, rowsLost: lost.rowsLost },
      ...{ dataLossWindowSeconds: lost.windowSeconds, statedWindowSeconds: row.statedWindowSeconds, failback },
    });
  }

  /** Moves the business to a site, and measures it from `since` until the client sees that site everywhere. */
  private async move(
    id: string,
    what: string,
    to: Site,
    since: number,
    act: () => Promise<readonly StepTime[]>,
  ): Promise<Measured> {
    const { timeline, client } = this;
    const first = timeline.steps.length;
    const inside = await timeline.step(id, what, act);
    await timeline.step(`${id}-seen`, `the outside client sees ${to.toUpperCase()} everywhere`, () =>
      this.seen(to, since),
    );
    const back = recovery(client.observations, client.targets, since, to);
    await this.checkData();
    return {
      recoveryTimeSeconds: back.seconds ?? NaN,
      recoveryByTarget: back.byTarget,
      refusedWritesSeconds: refusal(client.observations.get('write') ?? [], since),
      rowsLost: 0,
      steps: [...timeline.steps.slice(first), ...inside.map((one) => ({ ...one, id: `${id}/${one.id}` }))],
    };
  }

  /** Every target answers from the site, by what the client saw since `since`. */
  private async seen(site: Site, since: number): Promise<void> {
    const missing = () =>
      Object.entries(recovery(this.client.observations, this.client.targets, since, site).byTarget)
        .filter(([, seconds]) => seconds === undefined)
        .map(([target]) => `${target} (${this.client.observations.get(target)?.at(-1)?.why ?? 'another site'})`);
    try {
      await until(`the client on ${site}`, settleSeconds, () => missing().length === 0);
    } catch (cause) {
      throw new Error(`not back on ${site} after ${settleSeconds} s: ${missing().join(', ')}`, { cause });
    }
  }

  /** What was acknowledged up to now, and is not there; a row is counted in the first move that lost it. */
  private async loss(outageAt: number): Promise<Loss> {
    const expected = this.client.acknowledged.filter((one) => !this.gone.has(one.seq));
    const last = Math.max(0, ...expected.map((one) => one.seq));
    const answer = (await this.client.get('api', `/sentinel?from=0&to=${last}`)) as { seqs: number[] };
    const present = new Set(answer.seqs);
    for (const { seq } of expected) if (!present.has(seq)) this.gone.add(seq);
    return loss(expected, present, outageAt);
  }

  private async checkData(): Promise<void> {
    const summary = (await this.client.get('api', '/flights/summary')) as { count: number };
    if (summary.count !== this.rows)
      throw new Error(`the data set has ${summary.count} rows; loaded were ${this.rows}`);
  }

  private async checkPreviews(after: string): Promise<void> {
    if (this.way.checksPreviews) return;
    await this.timeline.step(`${after}-previews`, `preview of ${stacks.join(', ')}: no change`, async () => {
      const changes = await Promise.all(stacks.map((stack) => pulumi.previewChange(stack)));
      const dirty = changes.find((change) => change !== undefined);
      if (dirty) throw new Error(`after ${after} a preview is not clean: ${dirty}`);
    });
  }
}

function write(result: Result): void {
  const folder = path.join(repository, 'out');
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'exercise.json'), JSON.stringify(result, undefined, 2) + '\n');
}

const seconds = (value: number) => `${value.toFixed(1)} s`.padStart(8);

function summarize(result: Result, report: Report): void {
  report('');
  if (result.branches.length > 0) {
    report('branch       recovery  command   target  refused     loss  rows lost   home: refused  lost');
  }
  for (const one of result.branches) {
    report(
      `${one.branch.padEnd(12)}${seconds(one.recoveryTimeSeconds)} ${seconds(one.commandSeconds)} ${seconds(one.targetSeconds)} ${seconds(one.refusedWritesSeconds)} ` +
        `${seconds(one.dataLossWindowSeconds)} ${String(one.rowsLost).padStart(10)} ${seconds(one.failback.refusedWritesSeconds).padStart(15)} ${String(one.failback.rowsLost).padStart(5)}`,
    );
  }
  report(
    `setup ${result.setupSeconds.toFixed(1)} s, total ${result.totalSeconds.toFixed(1)} s, figures in out/exercise.json`,
  );
  report(
    result.failure
      ? `FAILED: ${result.failure}`
      : 'passed: every host came back, no row outside the stated window was lost, every preview is clean',
  );
}
