/** Carries a drill out: makes it, looks at it, writes down what was seen, removes it. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { DrillOutput } from '../../config/drill';
import {
  compareProduction,
  failed,
  lossOf,
  passed,
  rowsCheck,
  unknown,
  verdictOf,
  type Check,
  type DrillPlan,
  type Evidence,
  type Figures,
  type ProductionReading,
  type RowsReading,
  type Timed,
} from '../../failover/drill';
import { StandbyError } from '../../failover/errors';
import { evidenceMarkdown } from '../../failover/drillReport';
import { known, type Reading } from '../../failover/model';
import type { Call } from '../../failover/ports';
import { within } from '../../failover/within';
import { untilAdmitted, type ServerTarget } from '../postgres/connection';
import type { AdapterContext } from '../context';
import { serverPlaces, serverTarget } from '../places';
import { projectFolder, type Environment } from '../pulumi/command';
import { redactor } from '../redact';
import { copyTarget, isolate, readRows } from './copy';
import { checkCredentials } from './credentials';
import { checkHosts } from './hosts';
import { checkLogin } from './login';
import { addressesOf, missingRows, newestRow, reading, readProduction, resolversOf } from './production';
import type { DrillStack } from './stack';
import { firewallOf, sweep } from './vendor';

/** What a person sees while it goes. */
export type Tell = (event: { readonly step: string; readonly message?: string; readonly seconds?: number }) => void;

const removeMs = 15 * 60_000;
const lookMs = 30_000;

/** Administrator of every server that holds production data. */
const productionTargets = (context: AdapterContext): Readonly<Record<string, ServerTarget>> =>
  Object.fromEntries(serverPlaces(context).map(({ name }) => [name, serverTarget(context, name)]));

export class DrillRun {
  private readonly checks: Check[] = [];
  private readonly steps: Timed[] = [];
  private readonly production: { before?: ProductionReading; after?: ProductionReading } = {};
  private rows: RowsReading | undefined;
  /** Set when the drill that is there is not this one: it must not be removed. */
  private other: StandbyError | undefined;
  private figures: Figures = {
    recoveryTimeSeconds: 'unknown',
    recoveryPoint: 'unknown',
    dataLossSeconds: 'unknown',
    rowsLost: 'unknown',
  };
  private readonly servers: Readonly<Record<string, ServerTarget>>;
  private readonly clean: (text: string) => string;

  constructor(
    private readonly context: AdapterContext,
    private readonly stack: DrillStack,
    private readonly plan: DrillPlan,
    private readonly tell: Tell,
  ) {
    this.servers = productionTargets(context);
    this.clean = redactor(context);
  }

  /** Ends with the evidence, whatever happened. @throws StandbyError DrillRunning when the drill that is there is another one's. */
  async run(signal: AbortSignal): Promise<Evidence> {
    const faults: string[] = [];
    const note = (cause: unknown) => void faults.push(this.clean((cause as Error).message));
    await this.carryOut(signal).catch(note);
    if (this.other) throw this.other;
    const stays = this.plan.keep && faults.length === 0;
    const removed = !stays && (await this.remove().catch((cause: unknown) => (note(cause), false)));
    await this.compare().catch(note);
    return this.write(faults.join('; '), removed);
  }

  private async carryOut(signal: AbortSignal): Promise<void> {
    const { plan, context } = this;
    this.production.before = await this.step('production as it is', () => this.readProduction(signal));
    await this.step('stack drill', () => this.begin(signal));
    const source = this.servers[plan.source.server] as ServerTarget;
    const wanted = await newestRow(source, plan.pointInTime < plan.startedAt ? plan.pointInTime : undefined, signal);
    const orderedAt = Date.now();
    const copied = await this.step('copy', (call) => this.stack.up('restored', call), signal);
    const target = copyTarget(copied, context.configuration().company);
    await this.step('copy lets operators in', () => untilAdmitted(target, signal), signal);
    await this.measureRows(copied, wanted, signal);
    await this.step('logins shut, mail off', () =>
      isolate(copied, context.configuration().company, context.configuration().hosts, signal),
    );
    const drill = await this.step('identity provider, release', (call) => this.stack.up('running', call), signal);
    await this.look(drill, orderedAt, signal);
  }

  private async begin(signal: AbortSignal): Promise<void> {
    try {
      await this.stack.begin(this.plan, signal);
    } catch (cause) {
      if (cause instanceof StandbyError && cause.code === 'DrillRunning') this.other = cause;
      throw cause;
    }
  }

  private async step<T>(
    what: string,
    act: (call: Call) => Promise<T>,
    signal = new AbortController().signal,
  ): Promise<T> {
    const began = Date.now();
    this.tell({ step: what });
    const result = await act({ signal, progress: (message) => this.tell({ step: what, message }) });
    const seconds = (Date.now() - began) / 1000;
    this.steps.push({ what, seconds });
    this.tell({ step: what, seconds });
    return result;
  }

  private async measureRows(drill: DrillOutput, wanted: Reading<RowsReading['newest']>, signal: AbortSignal) {
    const target = copyTarget(drill, this.context.configuration().company);
    const copy = await this.step('rows counted', () => reading(() => readRows(target, signal)));
    this.rows = known(copy);
    const newest = this.rows?.newest;
    const source = this.servers[this.plan.source.server] as ServerTarget;
    const until = known(wanted)?.at;
    const missing = newest && until ? known(await missingRows(source, newest.at, until, signal)) : undefined;
    this.figures = { ...this.figures, ...lossOf(this.rows, wanted, missing) };
    this.checks.push(this.judgeRows(copy));
  }

  private judgeRows(copy: Reading<RowsReading>): Check {
    const name = rowsCheck;
    if (!('value' in copy)) return unknown(name, copy.unknown);
    const { tables } = copy.value;
    const count = Object.values(tables).reduce((sum, one) => sum + one, 0);
    if (count === 0) return failed(name, `${Object.keys(tables).length} tables, no row`);
    const { recoveryPoint, dataLossSeconds } = this.figures;
    const seen = `${count} rows in ${Object.keys(tables).length} tables`;
    if (recoveryPoint === 'unknown') return unknown(name, `${seen}; no table sentinel says how new they are`);
    const allowed = this.context.configuration().objectives.recoveryPointHours * 3600;
    const detail = `${seen}, newest of ${new Date(recoveryPoint).toISOString()}`;
    if (dataLossSeconds === 'unknown') return unknown(name, `${detail}; production could not be asked for its own`);
    const lost = `${detail}; ${dataLossSeconds.toFixed(1)} s lost, objective ${allowed} s`;
    return dataLossSeconds <= allowed ? passed(name, lost) : failed(name, lost);
  }

  private async look(drill: DrillOutput, orderedAt: number, signal: AbortSignal): Promise<void> {
    const configuration = this.context.configuration();
    const { landscape } = this.context;
    const { administrator } = landscape.sites.prod.identity;
    const administratorOf = { name: administrator, password: landscape.secrets.prod.administratorPassword };
    const seen = await this.step('hosts and logins', async () =>
      (
        await Promise.all([
          checkHosts(drill, configuration.release, signal),
          checkLogin(drill, administratorOf, signal),
        ])
      ).flat(),
    );
    const seconds = (Date.now() - orderedAt) / 1000;
    const serves = seen.every(({ outcome }) => outcome !== 'failed');
    this.figures = { ...this.figures, recoveryTimeSeconds: serves ? seconds : 'unknown' };
    const objective = configuration.objectives.recoveryTimeHours * 3600;
    const time = `${seconds.toFixed(1)} s, objective ${objective} s`;
    const timely = serves
      ? (seconds <= objective ? passed : failed)('recovery time', time)
      : unknown('recovery time', 'it does not serve');
    const logins = await this.step('credentials tried', () =>
      checkCredentials(drill, configuration.company, this.servers, configuration.epoch, signal),
    );
    this.checks.push(...seen, timely, ...logins, await this.unnamed(drill));
  }

  /** No resolver may know a host of the drill. */
  private async unnamed(drill: DrillOutput): Promise<Check> {
    const name = "no DNS has the drill's hosts";
    const hosts = Object.values(drill.hosts);
    const answers = await Promise.all(
      resolversOf(this.context.environment).map((resolver) => reading(() => addressesOf(hosts, resolver))),
    );
    const found = answers.flatMap((answer) =>
      Object.entries(known(answer) ?? {}).flatMap(([host, addresses]) => (addresses.length > 0 ? [host] : [])),
    );
    if (found.length > 0) return failed(name, `${[...new Set(found)].join(', ')} have addresses`);
    const heard = answers.filter((answer) => 'value' in answer).length;
    return heard > 0 ? passed(name, `${heard} resolvers asked`) : unknown(name, 'no resolver answers');
  }

  private readProduction(signal: AbortSignal): Promise<ProductionReading> {
    return readProduction(
      {
        environment: this.context.environment,
        hosts: Object.values(this.context.configuration().hosts),
        servers: this.servers,
        firewall: (server, within) => firewallOf(this.context, server, within),
      },
      signal,
    );
  }

  private async remove(): Promise<boolean> {
    const signal = within(removeMs);
    return this.step(
      'removed',
      async (call) => {
        await removeDrill(this.context, this.stack, call);
        return true;
      },
      signal,
    );
  }

  /** After the drill is gone: its removal is part of what production must not notice. */
  private async compare(): Promise<void> {
    const { before } = this.production;
    if (!before) return;
    const after = await this.step('production as it is now', () => this.readProduction(within(lookMs)));
    this.production.after = after;
    this.checks.push(...compareProduction(before, after));
  }

  private write(fault: string, removed: boolean): Evidence {
    const verdict = fault === '' ? verdictOf(this.checks) : 'failed';
    const evidence: Evidence = {
      format: 1,
      plan: this.plan,
      endedAt: Date.now(),
      verdict,
      ...(fault === '' ? {} : { fault }),
      checks: this.checks,
      figures: this.figures,
      tables: this.rows?.tables ?? {},
      steps: this.steps,
      production: this.production,
      removed,
    };
    const folder = evidenceFolder(this.context.environment, this.plan);
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'evidence.json'), this.clean(JSON.stringify(evidence, undefined, 2)) + '\n');
    fs.writeFileSync(path.join(folder, 'evidence.md'), this.clean(evidenceMarkdown(evidence)));
    return evidence;
  }
}

export function evidenceFolder(environment: Environment, plan: Pick<DrillPlan, 'number'>): string {
  const runs = environment['STANDBY_RUNS'] ?? path.join(projectFolder(environment), '.standby', 'runs');
  return path.join(runs, `drill-${plan.number}`);
}

/** Everything of a drill, also what no state knows any more. Idempotent. */
export async function removeDrill(context: AdapterContext, stack: DrillStack, call: Call): Promise<void> {
  await stack.remove(call);
  await sweep(context, call);
}
