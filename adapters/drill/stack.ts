/** The stack `drill`, through Pulumi's command line. Its tag says when it ends, before it holds anything. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isScalar, parse, parseDocument, stringify } from 'yaml';
import { drillHosts, parseDrill, type DrillConfig, type DrillOutput } from '../../config/drill';
import type { FailoverConfig } from '../../config/failover';
import { project } from '../../config/loader';
import type { DrillPlan, FoundDrill } from '../../failover/drill';
import { StandbyError } from '../../failover/errors';
import type { Call } from '../../failover/ports';
import { projectFolder, pulumi, type Environment } from '../pulumi/command';
import { EventReader } from '../pulumi/events';
import { firstLine, pulumiFailed } from '../pulumi/fault';
import { underPolicies } from '../pulumi/stacks';
import { freeLock, holdersIn, isLocked } from '../pulumi/takeover';
import { redactor } from '../redact';

const stack = 'drill';
const tag = 'standby:drill';
const noSuchStack = /no stack named|not found/i;
const readMs = 20_000;
/** An operator who has made the stack needs this long to tag it. */
const tagMs = 4_000;

export interface DrillStackContext {
  readonly environment: Environment;
  readonly configuration: () => FailoverConfig;
}

export class DrillStack {
  private readonly clean: (text: string) => string;
  private readonly file: string;

  constructor(private readonly context: DrillStackContext) {
    this.clean = redactor(context);
    this.file = path.join(projectFolder(context.environment), `Pulumi.${stack}.yaml`);
  }

  /** @returns undefined when there is none. */
  async find(signal: AbortSignal): Promise<FoundDrill | undefined> {
    const first = await this.tagged(signal);
    if (first === undefined || first.expiresAt !== undefined) return first;
    await sleep(tagMs, undefined, { signal });
    return this.tagged(signal);
  }

  private async tagged(signal: AbortSignal): Promise<FoundDrill | undefined> {
    const { code, stdout, stderr } = await this.run(['stack', 'tag', 'ls', '--json'], signal, readMs);
    if (code !== 0 && noSuchStack.test(stderr)) return undefined;
    if (code !== 0) throw pulumiFailed(`pulumi stack tag ls --stack ${stack}`, this.clean(stderr), 'refused');
    return foundIn((JSON.parse(stdout) as Readonly<Record<string, string>>)[tag]);
  }

  /** Makes the stack, with its end and its configuration, and nothing in it. @throws StandbyError DrillRunning */
  async begin(plan: DrillPlan, signal: AbortSignal): Promise<void> {
    const provider = this.secretsProvider();
    const init = ['stack', 'init', '--no-select', ...(provider ? ['--secrets-provider', provider] : [])];
    // What an earlier drill left here is not this one's; a salt that is another stack's opens nothing.
    fs.rmSync(this.file, { force: true });
    const made = await this.run(init, signal);
    if (made.code !== 0 && /already exists/.test(made.stderr)) {
      throw new StandbyError(
        'DrillRunning',
        'somebody has just begun a drill: wait until it is over, or look with `standby drill --cleanup`',
      );
    }
    if (made.code !== 0) throw pulumiFailed('pulumi stack init drill', this.clean(made.stderr), 'refused');
    const { startedAt, expiresAt, who } = plan;
    await this.must(['stack', 'tag', 'set', tag, JSON.stringify({ startedAt, expiresAt, who })], signal);
    this.write(configOf(plan, this.context.configuration()));
  }

  /** The same as the failover stack's, so that whoever can open that one can remove a drill. */
  private secretsProvider(): string | undefined {
    const file = path.join(path.dirname(this.file), 'Pulumi.failover.yaml');
    return (parse(fs.readFileSync(file, 'utf8')) as { secretsprovider?: string } | null)?.secretsprovider;
  }

  private write(values: Readonly<Partial<DrillConfig>>): void {
    const text = fs.existsSync(this.file) ? fs.readFileSync(this.file, 'utf8') : '';
    const document = parseDocument(text || stringify({ config: {} }));
    for (const [key, value] of Object.entries(values)) {
      const node = document.createNode(value);
      // Unquoted, the engine takes a time for something else than text.
      if (isScalar(node) && typeof value === 'string') node.type = 'QUOTE_DOUBLE';
      document.setIn(['config', `${project}:${key}`], node);
    }
    fs.writeFileSync(this.file, document.toString({ lineWidth: 0 }));
  }

  /** Brings the stack to a stage. @returns what its checks work with. */
  async up(stage: DrillConfig['stage'], call: Call): Promise<DrillOutput> {
    this.write({ stage });
    const events = new EventReader((message) => call.progress(this.clean(message)));
    const policies = underPolicies(this.context);
    const args = ['up', '--stack', stack, '--yes', '--skip-preview', '--json', ...policies];
    const { code, stderr } = await pulumi(this.context.environment, args, {
      signal: call.signal,
      onLine: events.line,
    });
    if (code !== 0)
      throw pulumiFailed('pulumi up --stack drill', this.clean([events.text(), stderr].join('\n')), 'safe');
    const output = await this.run(['stack', 'output', stack, '--json', '--show-secrets'], call.signal, readMs);
    if (output.code !== 0) throw pulumiFailed('pulumi stack output drill', this.clean(output.stderr), 'safe');
    return parseDrill(JSON.parse(output.stdout));
  }

  /** Removes everything that the state knows, then the stack. A lock of a process that is gone is given up. */
  async remove(call: Call): Promise<void> {
    for (;;) {
      const events = new EventReader((message) => call.progress(this.clean(message)));
      const args = ['destroy', '--stack', stack, '--yes', '--skip-preview', '--json'];
      const { code, stderr } = await pulumi(this.context.environment, args, {
        signal: call.signal,
        onLine: events.line,
      });
      if (code === 0) break;
      const text = this.clean([events.text(), stderr].join('\n'));
      if (noSuchStack.test(stderr)) return;
      if (!isLocked(text)) throw pulumiFailed('pulumi destroy --stack drill', text, 'resumable');
      await freeLock(this.context.environment, stack, holdersIn(text), () => false, call);
    }
    // What was being made when somebody was killed is no part of the state's resources; the group takes it along.
    const removed = await this.run(['stack', 'rm', '--yes', '--force'], call.signal);
    if (removed.code !== 0 && !noSuchStack.test(removed.stderr)) {
      throw pulumiFailed('pulumi stack rm drill', this.clean(removed.stderr), 'resumable');
    }
    fs.rmSync(this.file, { force: true });
  }

  private run(args: readonly string[], signal: AbortSignal, timeoutMs?: number) {
    return pulumi(this.context.environment, [...args, '--stack', stack], {
      signal,
      ...(timeoutMs ? { timeoutMs } : {}),
    });
  }

  private async must(args: readonly string[], signal: AbortSignal): Promise<void> {
    const { code, stderr } = await this.run(args, signal);
    if (code !== 0)
      throw pulumiFailed(`pulumi ${args.slice(0, 3).join(' ')}`, firstLine(this.clean(stderr)), 'refused');
  }
}

function foundIn(text: string | undefined): FoundDrill {
  try {
    const { startedAt, expiresAt, who } = JSON.parse(text ?? '{}') as Partial<Record<string, unknown>>;
    return {
      ...(typeof startedAt === 'number' ? { startedAt } : {}),
      ...(typeof expiresAt === 'number' ? { expiresAt } : {}),
      ...(typeof who === 'string' ? { who } : {}),
    };
  } catch {
    return {};
  }
}

const iso = (at: number) => new Date(at).toISOString();

const configOf = (plan: DrillPlan, { company, zone, hosts, release, image }: FailoverConfig): DrillConfig => ({
  ...{ company, zone, release, image },
  hosts: drillHosts(hosts),
  number: plan.number,
  startedAt: iso(plan.startedAt),
  expiresAt: iso(plan.expiresAt),
  from: plan.source.server,
  fromSite: plan.source.site,
  method: plan.source.method,
  pointInTime: iso(plan.pointInTime),
  stage: 'restored',
});
