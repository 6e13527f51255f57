/** A sandbox with all three stacks up, and an operator in it. */
import { execFile, fork, type ChildProcess } from 'node:child_process';
import * as path from 'node:path';
import { promisify } from 'node:util';
import type { Ports } from '../../failover/ports';
import type { Order, Report } from './operator';

const repository = path.resolve(__dirname, '..', '..');
const run = promisify(execFile);
const transpile = ['-r', 'ts-node/register/transpile-only'];

/** Runs a piece of the sandbox in a process of the world. */
async function inWorld(env: Readonly<Record<string, string>>, script: string): Promise<string> {
  const options = { cwd: repository, env: { ...process.env, ...env }, maxBuffer: 64 * 1024 ** 2 };
  const { stdout } = await run(process.execPath, [...transpile, '-e', script], options);
  return stdout;
}

const build = `
  const { up } = require('./sandbox/supervisor');
  (async () => {
    await up(() => undefined);
    const { readEnvironment } = require('./sandbox/environment');
    process.env.PATH = readEnvironment().people.PATH;
    const pulumi = require('./sandbox/exercise/pulumi');
    for (const stack of ['prod', 'intg', 'failover']) await pulumi.create(stack);
    await Promise.all([pulumi.up('prod'), pulumi.up('intg')]);
    await pulumi.up('failover');
  })().catch((cause) => { console.error(cause.message); process.exit(1); });`;

export class Stage {
  private operator: ChildProcess | undefined;
  private readonly waiting = new Map<number, (report: Report) => void>();
  private orders = 0;
  people: Readonly<Record<string, string>> = {};

  /** @param env - STANDBY_WORLD, and STANDBY_HOME where it is not the usual one. */
  constructor(private readonly env: Readonly<Record<string, string>>) {}

  /** @param standing - the sandbox is up already, stacks and all. */
  async start(standing: boolean): Promise<void> {
    if (!standing) await inWorld(this.env, build);
    const print = `const { readEnvironment } = require('./sandbox/environment');
      const { folders } = require('./sandbox/world');
      console.log(JSON.stringify({ ...readEnvironment().people, STANDBY_PROJECT: folders.project }));`;
    this.people = JSON.parse(await inWorld(this.env, print)) as Record<string, string>;
    await this.startOperator();
  }

  silence = (site: 'prod' | 'intg', how: 'none' | 'cluster' | 'site') =>
    inWorld(this.env, `require('./sandbox/silence').setSilence('${site}', '${how}')`);

  preview = (stack: string) =>
    inWorld(
      { ...this.env, PATH: this.people['PATH'] ?? '' },
      `require('./sandbox/exercise/pulumi').previewChange('${stack}').then((change) => console.log(change ?? 'clean'))`,
    );

  /** What a port does and says, in the operator's process. */
  ask<P extends keyof Ports>(port: P, method: string & keyof Ports[P], ...args: unknown[]): Promise<Report> {
    const id = (this.orders += 1);
    const order: Order = { id, port, method, args, signalOnly: port === 'observer' };
    this.operator?.send(order);
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }

  async stop(standing: boolean): Promise<void> {
    this.operator?.kill();
    if (!standing) await inWorld(this.env, `require('./sandbox/supervisor').down(() => undefined)`);
  }

  private startOperator(): Promise<void> {
    const env = { ...process.env, ...this.people };
    const operator = fork(path.join(__dirname, 'operator.ts'), { cwd: repository, env, execArgv: transpile });
    this.operator = operator;
    return new Promise((resolve, reject) => {
      operator.once('exit', (code) => reject(new Error(`the operator's process ended with ${code}`)));
      operator.on('message', (report: Report) => {
        if (report.id === 0) resolve();
        this.waiting.get(report.id)?.(report);
        this.waiting.delete(report.id);
      });
    });
  }
}
