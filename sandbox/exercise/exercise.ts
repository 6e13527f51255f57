/**
 * The main job: both sites are built, PROD is really taken down, INTG takes over by a change of configuration, and the
 * business comes home; once with PROD's cluster gone (1a), once with all of PROD gone (1b). Every figure is measured by
 * the outside client.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setSilence } from '../silence';
import { down, up as startSandbox, type Report } from '../supervisor';
import { geoReplicationSeconds, repository, type Site } from '../world';
import { OutsideClient } from './client';
import { backUp, createUser, loadData } from './data';
import { loss, recovery } from './measure';
import * as pulumi from './pulumi';
import { failoverView, siteView, type SiteView } from './view';
import { Timeline, until, type StepTime } from './timeline';

const stacks: readonly pulumi.Stack[] = ['prod', 'intg', 'failover'];
const settleSeconds = 60;

/** Seconds of acknowledged writes that a branch may lose here, and why: 1a works on PROD's database; 1b on the last copy. */
const statedWindow = { '1a': 0, '1b': geoReplicationSeconds + 3 } as const;

interface BranchResult {
  readonly branch: '1a' | '1b';
  readonly recoveryTimeSeconds: number;
  readonly recoveryByTarget: Readonly<Record<string, number | undefined>>;
  readonly dataLossWindowSeconds: number;
  readonly statedWindowSeconds: number;
  readonly rowsLost: number;
  /** The way home: no row that INTG acknowledged may be lost on it. */
  readonly failback: { readonly recoveryTimeSeconds: number; readonly rowsLost: number };
  readonly steps: readonly StepTime[];
}

interface Result {
  branches: BranchResult[];
  previewsClean: boolean;
  setupSeconds: number;
  totalSeconds: number;
  failure?: string;
}

/** @returns the exit code: 0 only if every host came back, no row outside the stated window was lost, every preview is clean. */
export async function exercise({ keep, report }: { keep: boolean; report: Report }): Promise<number> {
  const timeline = new Timeline(report);
  const result: Result = { branches: [], previewsClean: false, setupSeconds: 0, totalSeconds: 0 };
  try {
    await new Exercise(timeline, result, report).run();
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
  private epoch = 1;
  private recoveries = 0;
  private prod!: SiteView;
  private rows = 0;

  constructor(
    private readonly timeline: Timeline,
    private readonly result: Result,
    private readonly report: Report,
  ) {}

  async run(): Promise<void> {
    await this.setUp();
    this.client.start();
    try {
      await this.steady();
      await this.branch(
        '1a',
        'prod-cluster',
        () => this.failover1a(),
        () => this.failback1a(),
      );
      await this.branch(
        '1b',
        'prod',
        () => this.failover1b(),
        () => this.failback1b(),
      );
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
    await timeline.step('failover', 'pulumi up -s failover', () => pulumi.up('failover'));
    this.prod = siteView('prod', await pulumi.outputs('prod'));
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

  private async steady(): Promise<void> {
    const { timeline } = this;
    await timeline.step('steady', 'the outside client sees PROD everywhere', () => this.seen('prod', Date.now()));
    this.result.setupSeconds = timeline.seconds;
  }

  private async branch(
    branch: '1a' | '1b',
    scope: 'prod' | 'prod-cluster',
    failover: () => Promise<void>,
    failback: () => Promise<void>,
  ): Promise<void> {
    const { timeline } = this;
    const first = timeline.steps.length;
    const outageAt = Date.now();
    await timeline.step(`${branch}-outage`, `outage: ${scope} is silent`, async () =>
      setSilence('prod', scope === 'prod' ? 'site' : 'cluster'),
    );
    await timeline.step(`${branch}-failover`, `${branch}: configuration changed, pulumi up -s failover`, failover);
    await timeline.step(`${branch}-verify`, 'the outside client sees INTG everywhere', () =>
      this.seen('intg', outageAt),
    );
    const back = recovery(this.client.observations, this.client.targets, outageAt, 'intg');
    const lost = loss(this.client.acknowledged, await this.present(), outageAt);
    await this.checkData();
    this.report(
      `${branch}: recoveryTime ${back.seconds?.toFixed(1)} s, dataLossWindow ${lost.windowSeconds.toFixed(1)} s (${lost.rowsLost} rows)`,
    );
    if (lost.windowSeconds > statedWindow[branch]) {
      throw new Error(
        `branch ${branch} lost ${lost.rowsLost} rows over ${lost.windowSeconds.toFixed(1)} s; stated are at most ${statedWindow[branch]} s`,
      );
    }
    await this.checkPreviews(branch);

    const homeAt = Date.now();
    await timeline.step(`${branch}-return`, 'PROD answers again', async () => setSilence('prod', 'none'));
    await timeline.step(`${branch}-failback`, `${branch}: failback by configuration, pulumi up -s failover`, failback);
    await timeline.step(`${branch}-home`, 'the outside client sees PROD everywhere', () => this.seen('prod', homeAt));
    const home = recovery(this.client.observations, this.client.targets, homeAt, 'prod');
    const onIntg = this.client.acknowledged.filter((row) => row.site === 'intg' && row.at >= outageAt);
    const homeLoss = loss(onIntg, await this.present(), Infinity);
    await this.checkData();
    if (homeLoss.rowsLost)
      throw new Error(`failback of ${branch} lost ${homeLoss.rowsLost} rows that INTG had acknowledged; allowed: 0`);
    this.report(`${branch}: home again, ${onIntg.length} rows written on INTG, none of them lost`);
    await this.checkPreviews(`${branch}-failback`);
    this.result.branches.push({
      branch,
      recoveryTimeSeconds: back.seconds ?? NaN,
      recoveryByTarget: back.byTarget,
      dataLossWindowSeconds: lost.windowSeconds,
      statedWindowSeconds: statedWindow[branch],
      rowsLost: lost.rowsLost,
      failback: { recoveryTimeSeconds: home.seconds ?? NaN, rowsLost: homeLoss.rowsLost },
      steps: timeline.steps.slice(first),
    });
  }

  private async failover1a(): Promise<void> {
    await this.change({ activeSite: 'intg', unreachable: 'prod-cluster', epoch: ++this.epoch });
  }

  private async failback1a(): Promise<void> {
    await this.change({ activeSite: 'prod', unreachable: 'none', epoch: ++this.epoch });
  }

  private async failover1b(): Promise<void> {
    await this.change({
      activeSite: 'intg',
      database: 'restored',
      identity: 'restored',
      unreachable: 'prod',
      epoch: ++this.epoch,
      ...this.recoveryAt('intg', 'geoRestore', this.prod.database.server),
    });
  }

  /** Home from 1b: a replica of INTG's database is built in PROD while INTG serves, then promoted when INTG has stopped. */
  private async failback1b(): Promise<void> {
    const restored = failoverView(await pulumi.outputs('failover')).databaseServer;
    await this.change({ unreachable: 'none', ...this.recoveryAt('prod', 'replica', restored) });
    const promoted = { [`recoveries[${this.recoveries - 1}].promoted`]: 'true' };
    await this.change({ activeSite: 'prod', database: 'prod', identity: 'prod', epoch: ++this.epoch, ...promoted });
  }

  private recoveryAt(site: Site, method: 'geoRestore' | 'replica', from: string): Record<string, string | number> {
    const at = `recoveries[${this.recoveries}]`;
    this.recoveries += 1;
    return { [`${at}.epoch`]: this.epoch, [`${at}.site`]: site, [`${at}.method`]: method, [`${at}.from`]: from };
  }

  private async change(values: Readonly<Record<string, string | number>>): Promise<void> {
    await pulumi.configure('failover', values);
    await pulumi.up('failover');
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

  private async present(): Promise<ReadonlySet<number>> {
    const last = this.client.acknowledged.at(-1)?.seq ?? 0;
    const rows = (await this.client.get('api', `/sentinel?from=0&to=${last}`)) as { seqs: number[] };
    return new Set(rows.seqs);
  }

  private async checkData(): Promise<void> {
    const summary = (await this.client.get('api', '/flights/summary')) as { count: number };
    if (summary.count !== this.rows)
      throw new Error(`the data set has ${summary.count} rows; loaded were ${this.rows}`);
  }

  private async checkPreviews(after: string): Promise<void> {
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

function summarize(result: Result, report: Report): void {
  report('');
  for (const branch of result.branches) {
    report(
      `branch ${branch.branch}: recoveryTime ${branch.recoveryTimeSeconds.toFixed(1)} s, dataLossWindow ${branch.dataLossWindowSeconds.toFixed(1)} s, ` +
        `rows lost ${branch.rowsLost} (stated: at most ${branch.statedWindowSeconds} s); failback lost ${branch.failback.rowsLost}`,
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
