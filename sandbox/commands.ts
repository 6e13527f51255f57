/** The sandbox's commands: parse, call, print. */
import { InvalidArgumentError, type Command } from 'commander';
import { spawn } from 'node:child_process';
import { readEnvironment } from './environment';
import { SandboxError } from './error';
import { setSilence, type Silence } from './silence';
import type { PartStatus, SandboxStatus } from './supervisor';
import { folders, sites, type Site } from './world';

// What a command needs is loaded when it runs: `env` must answer in a moment.
const supervisor = () => import('./supervisor');

const print = (line: string) => process.stdout.write(line + '\n');

const scopes = sites.flatMap((site) => [site, `${site}-cluster`, `${site}-isolated`] as const);
type Scope = (typeof scopes)[number];

function parseScope(value: string): Scope {
  const scope = scopes.find((candidate) => candidate === value);
  if (!scope) throw new InvalidArgumentError(`site "${value}" is not known; allowed: ${scopes.join(', ')}.`);
  return scope;
}

function siteOf(scope: Scope): { site: Site; how: Silence } {
  const [site, how = 'site'] = scope.split('-') as [Site, Silence?];
  return { site, how };
}

function requireUp(): void {
  if (!readEnvironment())
    throw new SandboxError('SandboxDown', 'the sandbox is not up; start it with "standby sandbox up"');
}

const examples = `
Examples:
  standby sandbox up
  eval "$(standby sandbox env)"                       points pulumi and standby at it
  standby sandbox status
  standby sandbox logs azure
  standby sandbox silence prod-cluster                nothing of PROD's cluster answers
  standby sandbox restore prod                        it answers again
  standby sandbox freeze pod/prod/moodtalk/standby-agent; standby sandbox thaw pod/prod/moodtalk/standby-agent
  standby sandbox clock prod 300                      its pods' clocks are 300 s ahead; 0 sets them right
  standby sandbox chaos azure '{"match":"^PUT ","times":2,"status":429}'
  standby sandbox keep before; standby sandbox rewind before
  standby sandbox down`;

export function addSandboxCommands(program: Command): void {
  const sandbox = program
    .command('sandbox')
    .description('the embedded cloud: both sites and the vendors, on this machine')
    .addHelpText('afterAll', examples);

  sandbox
    .command('up')
    .description('start it (does its own set-up the first time)')
    .action(async () => {
      await (await supervisor()).up(print);
      print('next: eval "$(npx standby sandbox env)"; pulumi --cwd "$STANDBY_PROJECT" stack ls');
    });

  sandbox
    .command('down')
    .description('stop everything and remove its data; the caches stay')
    .action(async () => (await supervisor()).down(print));

  sandbox
    .command('status')
    .description('what runs, how much memory it takes, which site is silent')
    .option('--json', 'as JSON')
    .action(async (options: { json?: true }) => {
      const now = (await supervisor()).status();
      if (options.json) print(JSON.stringify(now, undefined, 2));
      else for (const line of statusLines(now)) print(line);
      if (!now.up) process.exitCode = 1;
    });

  sandbox
    .command('env')
    .description('endpoints and credentials for pulumi and the vendors’ tools, as shell exports')
    .option('--json', 'as JSON')
    .action((options: { json?: true }) => {
      requireUp();
      const variables = { ...readEnvironment()?.people, STANDBY_PROJECT: folders.project };
      if (options.json) print(JSON.stringify(variables, undefined, 2));
      else
        for (const [name, value] of Object.entries(variables))
          print(`export ${name}='${value.replaceAll("'", "'\\''")}'`);
    });

  sandbox
    .command('silence')
    .argument('<site>', `one of ${scopes.join(', ')}`, parseScope)
    .description('packets to the site go unanswered; or only its cluster; or it is cut off from all but its users')
    .action((scope: Scope) => {
      requireUp();
      const { site, how } = siteOf(scope);
      setSilence(site, how);
      print(`${scope} is silent`);
    });

  sandbox
    .command('restore')
    .argument('<site>', `one of ${scopes.join(', ')}`, parseScope)
    .description('the site answers again')
    .action((scope: Scope) => {
      requireUp();
      setSilence(siteOf(scope).site, 'none');
      print(`${scope} answers again`);
    });

  addFaults(sandbox);

  sandbox
    .command('logs')
    .argument('<part>', 'a name from "standby sandbox status"')
    .option('-f, --follow', 'go on printing')
    .description('the log of one part')
    .action(async (part: string, options: { follow?: true }) => {
      const file = (await supervisor()).logOf(part);
      spawn('tail', ['-n', '200', ...(options.follow ? ['-f'] : []), file], { stdio: 'inherit' });
    });

  program
    .command('exercise')
    .description('the full run on the sandbox: PROD is taken down, INTG takes over, the business comes home')
    .option('--keep', 'leave the sandbox up')
    .option('--plain-pulumi', 'by changes of configuration and "pulumi up" alone: branches 1a and 1b')
    .addHelpText(
      'after',
      '\nExamples:\n  standby exercise                      figures in out/exercise.json\n  standby exercise --plain-pulumi --keep',
    )
    .action(async ({ keep = false, plainPulumi = false }: { keep?: boolean; plainPulumi?: boolean }) => {
      const { exercise } = await import('./exercise/exercise');
      process.exitCode = await exercise({ keep, plainPulumi, report: print });
    });
}

/** What else can be made to go wrong, and how to get back: sandbox/chaos/. */
function addFaults(sandbox: Command): void {
  sandbox
    .command('keep')
    .argument('<name>', 'name to go back to', parseName)
    .description('the world as it is now is kept on disk; its processes start anew')
    .action(async (name: string) => {
      requireUp();
      await (await import('./chaos/snapshot')).keep(name);
      print(`kept as ${name}`);
    });

  sandbox
    .command('rewind')
    .argument('<name>', 'name that it was kept under', parseName)
    .description('back to a world that was kept; what happened since is given up')
    .action(async (name: string) => {
      await (await import('./chaos/snapshot')).rewind(name);
      print(`back to ${name}`);
    });

  for (const [word, frozen] of Object.entries({ freeze: true, thaw: false })) {
    sandbox
      .command(word)
      .argument('<part>', 'a name from "standby sandbox status", or its beginning: pod/prod/moodtalk/standby-agent')
      .description(frozen ? 'the part’s processes stand still, as on a paused machine' : 'they go on')
      .action(async (part: string) => {
        requireUp();
        const { setFrozen } = await import('./chaos/frozen');
        for (const name of setFrozen(part, frozen)) print(`${name} ${frozen ? 'stands still' : 'goes on'}`);
      });
  }

  sandbox
    .command('clock')
    .argument('<site>', `one of ${sites.join(', ')}`, parseSite)
    .argument('<seconds>', 'added to the time of day; 0 sets the clocks right', parseSeconds)
    .option('--pods <pattern>', 'only pods whose names match this regular expression')
    .description('the clocks of a site’s pods go wrong')
    .action(async (site: Site, seconds: number, options: { pods?: string }) => {
      requireUp();
      const { setClocks } = await import('./chaos/clocks');
      setClocks(site, seconds, options.pods);
      print(seconds === 0 ? `the clocks of ${site} are right` : `the clocks of ${site} are off by ${seconds} s`);
    });

  sandbox
    .command('chaos')
    .argument('<service>', 'azure, cloudflare, blob, kube-prod or kube-intg')
    .argument('[rules...]', 'what befalls its requests, as JSON (sandbox/chaos/rules.ts); without any it works again')
    .description('a service answers errors, late, or not at all')
    .action(async (service: string, rules: readonly string[]) => {
      requireUp();
      const { chaosServices, order, parseRule } = await import('./chaos/rules');
      const known = chaosServices.find((one) => one === service);
      if (!known) {
        throw new SandboxError(
          'UnknownService',
          `service "${service}" is not known; allowed: ${chaosServices.join(', ')}`,
        );
      }
      order(known, ...rules.map(parseRule));
      print(rules.length === 0 ? `${service} works again` : `${service} fails as was asked`);
    });
}

function parseName(value: string): string {
  if (!/^[\w-]{1,40}$/.test(value))
    throw new InvalidArgumentError(`"${value}" is no name; allowed: letters, digits, -.`);
  return value;
}

function parseSite(value: string): Site {
  const site = sites.find((candidate) => candidate === value);
  if (!site) throw new InvalidArgumentError(`site "${value}" is not known; allowed: ${sites.join(', ')}.`);
  return site;
}

function parseSeconds(value: string): number {
  const seconds = Number(value);
  if (!Number.isFinite(seconds)) throw new InvalidArgumentError(`"${value}" is no number of seconds.`);
  return seconds;
}

function statusLines(now: SandboxStatus): string[] {
  const line = (part: PartStatus) =>
    `${part.running ? 'running' : 'stopped'}  ${part.memory.toFixed(0).padStart(5)} MiB  ${part.name}`;
  const silent = sites.filter((site) => now.silence[site] !== 'none').map((site) => `${site}: ${now.silence[site]}`);
  return [
    ...now.parts.map(line),
    ...now.others.map(line),
    `memory   ${now.memory.toFixed(0).padStart(5)} MiB in all`,
    `silent   ${silent.length ? silent.join(', ') : 'none'}`,
  ];
}
