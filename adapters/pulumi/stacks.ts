/** Port `Stacks`: the three stacks, through Pulumi's command line. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { StandbyError } from '../../failover/errors';
import type { Call, Stacks } from '../../failover/ports';
import type { AdapterContext } from '../context';
import { redactor } from '../redact';
import { repository } from '../repository';
import { pulumi, type Stack } from './command';
import { writeSwitch } from './configuration';
import { EventReader } from './events';
import { pulumiFailed } from './fault';
import { projectName, stacks } from './readings';
import { stateReader } from './state';
import { adopt, freeLock, holdersIn, isLocked, madeBefore } from './takeover';
import { within } from '../../failover/within';

const policyFolder = path.join(repository, 'policies');
const stateLimitMs = 4_000;

export interface StacksOptions {
  /** Whether whatever ran on a machine has ended with its run. @default - of no machine */
  readonly isGone?: (host: string) => boolean;
}

/** The policy pack with the settings of the company's profile, or of the file that `STANDBY_POLICY_CONFIG` names. */
export function underPolicies({
  environment,
  configuration,
}: Pick<AdapterContext, 'environment' | 'configuration'>): string[] {
  const named = environment['STANDBY_POLICY_CONFIG'];
  const settings = named ?? path.join(policyFolder, 'profiles', `${configuration().company}.json`);
  if (named && !fs.existsSync(named)) {
    throw new StandbyError('PolicyConfigMissing', `STANDBY_POLICY_CONFIG is ${named}: there is no such file`);
  }
  return ['--policy-pack', policyFolder, ...(fs.existsSync(settings) ? ['--policy-pack-config', settings] : [])];
}

class PulumiStacks implements Stacks {
  private readonly clean: (text: string) => string;

  constructor(
    private readonly context: AdapterContext,
    private readonly isGone: (host: string) => boolean,
  ) {
    this.clean = redactor(context);
  }

  async configure(values: Parameters<Stacks['configure']>[0], call: Call): Promise<void> {
    call.signal.throwIfAborted();
    writeSwitch(this.context.environment, values);
  }

  async update(call: Call): Promise<{ readonly changed: number }> {
    const args = ['up', '--stack', 'failover', '--yes', '--skip-preview', '--json', ...underPolicies(this.context)];
    let adopted = 0;
    for (;;) {
      const events = new EventReader((message) => call.progress(this.clean(message)));
      const options = { signal: call.signal, onLine: events.line };
      const { code, stderr } = await pulumi(this.context.environment, args, options);
      if (code === 0) return { changed: events.changed };
      const text = this.clean([events.text(), stderr].filter(Boolean).join('\n'));
      if (isLocked(text)) {
        await freeLock(this.context.environment, 'failover', holdersIn(text), this.isGone, call);
        continue;
      }
      const made = madeBefore(events.errors);
      // Each round takes over at least one: it ends.
      const taken = made.size > 0 ? await adopt(this.context.environment, 'failover', made, call) : 0;
      adopted += taken;
      if (taken === 0) throw pulumiFailed('pulumi up --stack failover', text, adopted > 0 ? 'person' : 'resumable');
    }
  }

  async previews(call: Call): Promise<Readonly<Record<Stack, readonly string[]>>> {
    const [prod, intg, failover] = await Promise.all(stacks.map((stack) => this.preview(stack, call)));
    return { prod: prod!, intg: intg!, failover: failover! };
  }

  private async preview(stack: Stack, call: Call): Promise<readonly string[]> {
    const events = new EventReader();
    const { code, stderr } = await pulumi(
      { ...this.context.environment, PULUMI_ENABLE_STREAMING_JSON_PREVIEW: 'true' },
      ['preview', '--stack', stack, '--json'],
      { signal: call.signal, onLine: events.line },
    );
    if (code === 0) return events.changes;
    throw pulumiFailed(`pulumi preview --stack ${stack}`, this.clean([events.text(), stderr].join('\n')));
  }

  async unlock(call: Call): Promise<void> {
    const { environment } = this.context;
    const reader = await stateReader(environment, projectName(environment), stateLimitMs);
    const signal = within(stateLimitMs, call.signal);
    // Where locks can't be listed, the next update meets them and does the same.
    const holders = await reader?.locks('failover', signal);
    await freeLock(environment, 'failover', holders ?? [], this.isGone, call);
  }
}

export const createStacks = (context: AdapterContext, { isGone = () => false }: StacksOptions = {}): Stacks =>
  new PulumiStacks(context, isGone);
