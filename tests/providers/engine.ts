/** Runs programs with the real engine on stand-ins; state in a folder that goes away. */
import { buildSync } from 'esbuild';
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { folders, repository } from '../../sandbox/world';

const run = promisify(execFile);

/** What is read of the engine's event log. */
interface Event {
  readonly summaryEvent?: { readonly resourceChanges: Readonly<Record<string, number>> };
  readonly resourcePreEvent?: { readonly metadata: { readonly op: string; readonly urn: string } };
}

interface Result {
  /** How many resources were created, changed …: `{ create: 2, same: 1 }`. */
  readonly changes: Readonly<Record<string, number>>;
  /** Type and operation of each step, in order. */
  readonly steps: readonly { readonly op: string; readonly name: string }[];
}

/** The engine, and a language host where there is none beside it. */
function toolsIn(folder: string): string {
  const places = [folders.bin, ...(process.env['PATH'] ?? '').split(path.delimiter)];
  const engine = places.find((place) => fs.existsSync(path.join(place, 'pulumi')));
  if (!engine) throw new Error(`no pulumi in ${folders.bin} or on PATH; run "npm run sandbox" once, or install it`);
  const bin = path.join(folder, 'bin');
  fs.mkdirSync(bin);
  fs.symlinkSync(path.join(engine, 'pulumi'), path.join(bin, 'pulumi'));
  const hostPath = path.join(bin, 'pulumi-language-nodejs');
  buildSync({
    entryPoints: [path.join(repository, 'sandbox', 'engine', 'language-host.ts')],
    outfile: hostPath,
    ...{ bundle: true, platform: 'node', format: 'cjs', packages: 'external', logLevel: 'error' },
    banner: { js: `#!${process.execPath}` },
  });
  fs.chmodSync(hostPath, 0o755);
  return bin;
}

export class Project {
  private readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-providers-'));
  private env: NodeJS.ProcessEnv = {};

  /** @param providers - the port of each package's stand-in */
  static async start(
    providers: Readonly<Record<string, number>>,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Project> {
    const project = new Project();
    const bin = toolsIn(project.folder);
    project.env = {
      ...env,
      PATH: `${bin}:${process.env['PATH']}`,
      HOME: project.folder,
      NODE_PATH: path.join(repository, 'node_modules'),
      PULUMI_HOME: path.join(project.folder, 'home'),
      PULUMI_BACKEND_URL: `file://${project.folder}`,
      PULUMI_CONFIG_PASSPHRASE: 'test',
      PULUMI_SKIP_UPDATE_CHECK: 'true',
      PULUMI_DEBUG_COMMANDS: 'true', // --event-log
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
      PULUMI_DEBUG_PROVIDERS: Object.entries(providers)
        .map(([name, port]) => `${name}:${port}`)
        .join(','),
    };
    fs.writeFileSync(
      path.join(project.folder, 'Pulumi.yaml'),
      'name: trial\nruntime:\n  name: nodejs\n  options:\n    typescript: false\nmain: index.js\n',
    );
    fs.writeFileSync(path.join(project.folder, 'package.json'), '{"name":"trial"}');
    fs.symlinkSync(path.join(repository, 'node_modules'), path.join(project.folder, 'node_modules'));
    await project.pulumi('stack', 'init', 'test');
    return project;
  }

  /** @throws Error with what the engine printed. */
  async pulumi(...args: string[]): Promise<string> {
    try {
      return (
        await run('pulumi', [...args, '--non-interactive'], { cwd: this.folder, env: this.env, maxBuffer: 1 << 28 })
      ).stdout;
    } catch (cause) {
      const { stdout = '', stderr = '' } = cause as { stdout?: string; stderr?: string };
      throw new Error(`pulumi ${args[0]}: ${stdout}${stderr}`, { cause });
    }
  }

  /** @param program - the body of a module. */
  async up(program: string, ...args: string[]): Promise<Result> {
    fs.writeFileSync(path.join(this.folder, 'index.js'), program);
    return this.watched('up', '--yes', '--skip-preview', ...args);
  }

  async preview(program: string): Promise<Result> {
    fs.writeFileSync(path.join(this.folder, 'index.js'), program);
    return this.watched('preview');
  }

  refresh = () => this.watched('refresh', '--yes', '--skip-preview');
  destroy = () => this.watched('destroy', '--yes', '--skip-preview');

  private async watched(...args: string[]): Promise<Result> {
    const log = path.join(this.folder, 'events.json');
    fs.rmSync(log, { force: true });
    await this.pulumi(...args, '--event-log', log);
    const events = fs
      .readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Event);
    const summary = events.find(({ summaryEvent }) => summaryEvent)?.summaryEvent;
    const steps = events.flatMap(({ resourcePreEvent }) => (resourcePreEvent ? [resourcePreEvent.metadata] : []));
    return {
      changes: summary?.resourceChanges ?? {},
      steps: steps.map(({ op, urn }) => ({ op, name: urn.split('::').at(-1) ?? '' })),
    };
  }

  /** The stack's outputs, secrets in clear text. */
  async outputs(): Promise<Record<string, unknown>> {
    return JSON.parse(await this.pulumi('stack', 'output', '--json', '--show-secrets')) as Record<string, unknown>;
  }

  /** @returns what the engine says when it refuses. */
  refusal = (program: string) =>
    this.up(program).then(
      ({ changes }) => `nothing was refused: ${JSON.stringify(changes)}`,
      (cause: Error) => cause.message,
    );

  /** The state as it is stored: secrets encrypted. */
  state = () => this.pulumi('stack', 'export');

  stop(): void {
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
