/**
 * A drill on the sandbox, carried out, killed and cleaned up; then the watch on the same world: quiet while all is well, awake when
 * PROD goes silent.
 */
import { expect } from 'chai';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const repository = path.resolve(__dirname, '..', '..');
const standby = path.join(repository, 'bin', 'standby.js');
const run = promisify(execFile);

type Variables = Readonly<Record<string, string>>;
interface Outcome {
  readonly code: number;
  readonly output: string;
}
type Event = Readonly<Record<string, unknown>> & { readonly code: string };

async function command(file: string, args: readonly string[], env: Variables): Promise<Outcome> {
  try {
    const { stdout, stderr } = await run(file, args, { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 ** 2 });
    return { code: 0, output: stdout + stderr };
  } catch (cause) {
    const fault = cause as { code?: number; stdout?: string; stderr?: string };
    return { code: fault.code ?? -1, output: `${fault.stdout ?? ''}${fault.stderr ?? ''}` };
  }
}

/** A command that goes on, and what it says. */
class Running {
  readonly events: Event[] = [];
  private readonly child: ChildProcess;
  private readonly heard: ((event: Event) => void)[] = [];
  readonly ended: Promise<number | null>;

  constructor(args: readonly string[], env: Variables) {
    this.child = spawn(process.execPath, [standby, ...args, '--json'], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.ended = new Promise((resolve) => this.child.once('close', resolve));
    createInterface(this.child.stdout as NodeJS.ReadableStream).on('line', (line) => {
      const event = JSON.parse(line) as Event;
      this.events.push(event);
      for (const listener of this.heard) listener(event);
    });
  }

  /** @returns the first such event, also one that was heard before. @throws when the command ends without one. */
  until(what: string, fits: (event: Event) => boolean): Promise<Event> {
    const known = this.events.find(fits);
    if (known) return Promise.resolve(known);
    return new Promise((resolve, reject) => {
      this.heard.push((event) => fits(event) && resolve(event));
      void this.ended.then((code) => reject(new Error(`ended with ${code} before ${what}`)));
    });
  }

  end(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal);
    return this.ended;
  }
}

const says = (code: string, part: RegExp) => (event: Event) => event.code === code && part.test(JSON.stringify(event));

describe('a drill and a watch on the embedded sandbox', function () {
  this.timeout('20m');
  const world = { STANDBY_WORLD: process.env['STANDBY_WORLD'] ?? '226' };
  let people: Record<string, string>;
  const sandbox = (...args: string[]) => command(process.execPath, [standby, 'sandbox', ...args], world);
  const pulumi = (...args: string[]) =>
    command(
      'pulumi',
      ['--cwd', people['STANDBY_PROJECT'] ?? '', '--non-interactive', '--color', 'never', ...args],
      people,
    );
  const drill = (...args: string[]) => command(process.execPath, [standby, 'drill', ...args], people);
  const must = async (outcome: Promise<Outcome>) => {
    const { code, output } = await outcome;
    expect(code, output).to.equal(0);
    return output;
  };

  before(async () => {
    await must(sandbox('up'));
    people = JSON.parse(await must(sandbox('env', '--json'))) as Record<string, string>;
    for (const stack of ['prod', 'intg', 'failover']) await must(pulumi('stack', 'init', '--no-select', stack));
    const up = (stack: string) => must(pulumi('up', '--yes', '--skip-preview', '--stack', stack));
    await Promise.all([up('prod'), up('intg')]);
    await up('failover');
    // Rows as a user writes them.
    const script = `(async () => {
      for (let seq = 1; seq <= 25; seq += 1) {
        const body = JSON.stringify({ seq });
        const answer = await fetch('https://api.moodtalk.ch/sentinel', { method: 'POST', body });
        if (answer.status !== 201) throw new Error('status ' + answer.status);
      }
    })();`;
    await must(command(process.execPath, ['-e', script], people));
  });
  after(() => sandbox('down'));

  const leftovers = async () => {
    const processes = JSON.parse((await sandbox('status', '--json')).output) as { others: { name: string }[] };
    return [
      ...processes.others.map(({ name }) => name).filter((name) => name.includes('drill')),
      ...(JSON.parse(await must(pulumi('stack', 'ls', '--json'))) as { name: string }[])
        .map(({ name }) => name)
        .filter((name) => name.includes('drill')),
    ];
  };

  it('copies, looks, measures and removes, and production does not notice', async () => {
    const running = new Running(['drill', '--yes'], people);
    expect(await running.ended, JSON.stringify(running.events.at(-1))).to.equal(0);
    const { evidence } = running.events.find(({ code }) => code === 'DrillEnded') as unknown as {
      evidence: {
        verdict: string;
        removed: boolean;
        plan: { number: number };
        checks: { name: string; outcome: string }[];
        figures: Record<string, number>;
        tables: Record<string, number>;
      };
    };
    expect(evidence).to.include({ verdict: 'passed', removed: true });
    expect(evidence.checks.map(({ name }) => name)).to.include.members([
      'rows and recovery point',
      "every host through INTG's ingress",
      'production release',
      'login of a copied account',
      'login as a user does it',
      "production refuses the drill's credentials",
      "the copy refuses production's credentials",
      "no DNS has the drill's hosts",
      'production names unchanged',
      'production servers and replication unchanged',
      'production firewalls unchanged',
      'production stacks unchanged',
    ]);
    expect(evidence.tables['sentinel']).to.be.within(1, 25);
    expect(evidence.figures['recoveryTimeSeconds']).to.be.greaterThan(0);
    expect(evidence.figures['dataLossSeconds']).to.be.within(0, 3600);
    expect(await leftovers()).to.deep.equal([]);

    const folder = path.join(people['STANDBY_RUNS'] ?? '', `drill-${evidence.plan.number}`);
    const written = ['evidence.json', 'evidence.md'].map((file) => fs.readFileSync(path.join(folder, file), 'utf8'));
    const secrets = await must(pulumi('stack', 'output', 'secrets', '--json', '--show-secrets', '--stack', 'prod'));
    const values = Object.values(JSON.parse(secrets) as object).filter((value) => typeof value === 'string');
    for (const value of values) expect(written.some((text) => text.includes(value))).to.equal(false);
  });

  it('is removed after kill -9, by the word of a person', async () => {
    const running = new Running(['drill', '--yes', '--ttl', '1h'], people);
    await running.until('the server is made', says('DrillStep', /create azure-native:dbforpostgresql:Server /));
    await running.end('SIGKILL');
    const refused = await drill('--yes');
    expect(refused).to.deep.include({ code: 3 });
    expect(refused.output).to.match(/a drill stands, begun by .* until .*standby drill --cleanup/);
    expect(await must(drill('--cleanup', '--yes'))).to.match(/removed/);
    expect(await leftovers()).to.deep.equal([]);
    expect(await must(drill('--cleanup', '--yes'))).to.match(/nothing of one is left/);
  });

  it('wants a word before it begins', async () => {
    const outcome = await drill();
    expect(outcome).to.deep.include({ code: 3 });
    expect(outcome.output).to.match(/wants a person's word/);
    expect(await leftovers()).to.deep.equal([]);
  });

  describe('the watch', () => {
    it('is quiet for a minute, and removes a drill whose time is over', async () => {
      await must(pulumi('stack', 'init', '--no-select', 'drill'));
      const over = JSON.stringify({ startedAt: 1_000, expiresAt: 2_000, who: 'somebody' });
      await must(pulumi('stack', 'tag', 'set', 'standby:drill', over, '--stack', 'drill'));
      const running = new Running(['watch'], people);
      await running.until('it begins', ({ code }) => code === 'WatchBegun');
      await new Promise((resolve) => setTimeout(resolve, 60_000));
      await running.end('SIGINT');
      expect(running.events.filter(({ code }) => code === 'WatchAlarm')).to.deep.equal([]);
      expect(running.events.some(says('WatchCleanup', /removes a drill whose time is over/))).to.equal(true);
      expect(await leftovers()).to.deep.equal([]);
    });

    it('raises one alarm with the command to run when PROD goes silent, and says when it is over', async () => {
      const running = new Running(['watch'], people);
      await running.until('PROD is seen', says('WatchSight', /"serving"/));
      await must(sandbox('silence', 'prod'));
      const alarm = await running.until('the alarm', ({ code }) => code === 'WatchAlarm');
      await must(sandbox('restore', 'prod'));
      await running.until('it is over', ({ code }) => code === 'WatchOver');
      await running.end('SIGINT');
      expect(alarm['command']).to.match(/^standby failover --to intg --database restored --prod-is-lost/);
      expect(alarm).to.have.nested.property('alarm.scope', 'site');
      expect(running.events.filter(({ code }) => code === 'WatchAlarm')).to.have.length(1);
      const since = (alarm as unknown as { alarm: { since: number }; at: number }).alarm.since;
      console.log(
        `      raised ${(((alarm['at'] as number) - since) / 1000).toFixed(1)} s after the first round that saw it`,
      );
    });

    it('with --automatic, and only then, takes over by itself what it can fence: a lost cluster', async () => {
      const running = new Running(['watch', '--automatic'], people);
      await running.until('PROD is seen', says('WatchSight', /"serving"/));
      await must(sandbox('silence', 'prod-cluster'));
      await running.until('it begins', says('WatchAutomatic', /starts by itself: failover to intg by branch 1a/));
      await running.until('it is done', says('WatchAutomatic', /done in/));
      await running.end('SIGINT');
      const script = "fetch('https://api.moodtalk.ch/').then((answer) => console.log(answer.headers.get('x-site')))";
      expect(await must(command(process.execPath, ['-e', script], people))).to.equal('intg\n');
    });
  });
});
