/** One container of a pod: its processes, one after the other, as restartPolicy and probes ask for. */
import type {
  V1Container,
  V1ContainerState,
  V1ContainerStateTerminated,
  V1ContainerStatus,
} from '@kubernetes/client-node';
import { setTimeout as delay } from 'node:timers/promises';
import { fillIn, findImage, type Image } from '../application/registry';
import { isRoot } from '../process';
import { plan } from '../world';
import { log, messageOf } from './cluster';
import { ContainerProcess } from './container-process';
import {
  ContainerConfigError,
  declaredEnvironment,
  expand,
  makeFolder,
  mountRewriter,
  placeEnvironment,
  type PodPlace,
} from './environment';
import { carryOut, keepProbing, type ProbeTarget } from './probe';
import { volumeFolder } from './volumes';

/** A container that ended is started again at once, then after 1, 2, 4 s …; one that ran this long begins anew. */
const firstBackoffMs = 1_000;
const longestBackoffMs = 60_000;
const wellAfterMs = 60_000;

/** What survives a killed node agent, in the pod's record. */
export interface ContainerRecord {
  readonly attempt: number;
  readonly restarts: number;
  readonly startedAt: string;
}

/** What a container needs of its pod. */
export interface Surroundings {
  readonly place: PodPlace;
  /** The pod's folder, and in it the volumes'. */
  readonly folder: string;
  readonly volumes: string;
  /** Aborts when the pod is to end. */
  readonly stopping: AbortSignal;
  /** A status worth telling the API has changed. */
  readonly changed: () => void;
  /** Writes the records of all containers to disk. */
  readonly save: () => void;
}

class ImageError extends Error {
  override readonly name = 'ImageError';
}

interface Launch {
  readonly argv: readonly string[];
  readonly env: Record<string, string>;
  readonly cwd: string;
  readonly user?: Image['user'];
}

export class Container {
  private state: V1ContainerState = { waiting: { reason: 'ContainerCreating' } };
  private last: V1ContainerStateTerminated | undefined;
  private ready = false;
  private started = false;
  private attempt = -1;
  private restarts = 0;
  private process: ContainerProcess | undefined;
  private launching: Promise<boolean> = Promise.resolve(true);

  constructor(
    readonly spec: V1Container,
    readonly init: boolean,
    private readonly around: Surroundings,
  ) {}

  get record(): ContainerRecord | undefined {
    if (this.attempt < 0) return undefined;
    const startedAt = this.state.running?.startedAt ?? this.state.terminated?.startedAt ?? new Date();
    return { attempt: this.attempt, restarts: this.restarts, startedAt: startedAt.toISOString() };
  }

  get exitCode(): number | undefined {
    return this.state.terminated?.exitCode;
  }

  get isReady(): boolean {
    return this.init ? this.exitCode === 0 : this.ready;
  }

  get isRunning(): boolean {
    return this.state.running !== undefined;
  }

  get hasStarted(): boolean {
    return this.attempt >= 0;
  }

  /** Log of the current process, or of the one before. */
  log(previous: boolean): { readonly file: string; readonly pid: number | undefined } | undefined {
    const attempt = previous ? this.attempt - 1 : this.attempt;
    if (attempt < 0) return undefined;
    const process = this.processOf(attempt);
    return { file: process.log, pid: process.alive ? process.pid : undefined };
  }

  status(): V1ContainerStatus {
    const { name, image = '' } = this.spec;
    const id = this.attempt < 0 ? '' : `process://${this.processOf(this.attempt).name}`;
    return {
      name,
      image,
      imageID: image,
      containerID: id,
      restartCount: this.restarts,
      ready: this.isReady,
      started: this.started,
      state: this.state,
      lastState: this.last ? { terminated: this.last } : {},
    };
  }

  /** Runs the container until it is not to be started again, or the pod stops. */
  async run(adopted?: ContainerRecord): Promise<void> {
    let backoffMs = 0;
    if (adopted) this.adopt(adopted);
    while (!this.around.stopping.aborted) {
      if (!this.process) this.launching = this.launch();
      if (!(await this.launching)) {
        backoffMs = nextBackoff(backoffMs);
        await this.pause(backoffMs);
        continue;
      }
      const code = await this.watch();
      if (this.around.stopping.aborted || this.isDone(code)) return;
      backoffMs = this.ranWell() ? 0 : backoffMs;
      this.waitFor('CrashLoopBackOff', `back-off ${backoffMs / 1000}s restarting container ${this.spec.name}`);
      await this.pause(backoffMs);
      backoffMs = nextBackoff(backoffMs);
      this.restarts += 1;
    }
  }

  /** Ends the process: what its author wants done before, SIGTERM, SIGKILL after the grace. */
  async stop(graceSeconds: number): Promise<void> {
    // What is being started at this moment would else be there for good.
    await this.launching;
    const process = this.process;
    if (!process) return;
    const end = Date.now() + graceSeconds * 1000;
    const before = this.spec.lifecycle?.preStop;
    if (before?.sleep) await delay(Math.min(before.sleep.seconds, graceSeconds) * 1000);
    else if (before) await carryOut(await this.target(), before, graceSeconds * 1000);
    await process.stop(Math.max(0, end - Date.now()) / 1000);
  }

  private processOf(attempt: number): ContainerProcess {
    const { cluster, pod } = this.around.place;
    return new ContainerProcess({
      site: cluster.site,
      namespace: pod.metadata?.namespace ?? '',
      pod: pod.metadata?.name ?? '',
      container: this.spec.name,
      attempt,
      folder: this.around.folder,
    });
  }

  private adopt(record: ContainerRecord): void {
    this.attempt = record.attempt;
    this.restarts = record.restarts;
    this.process = this.processOf(record.attempt);
    this.state = { running: { startedAt: new Date(record.startedAt) } };
    // It goes on as it was: a restart of the node agent must not take it out of service.
    const before = this.around.place.pod.status?.containerStatuses?.find((one) => one.name === this.spec.name);
    [this.ready, this.started] = [before?.ready ?? false, before?.started ?? false];
  }

  private isDone(code: number): boolean {
    const policy = this.around.place.pod.spec?.restartPolicy ?? 'Always';
    return policy === 'Never' || (code === 0 && (policy === 'OnFailure' || this.init));
  }

  private ranWell(): boolean {
    const { startedAt, finishedAt } = this.last ?? {};
    return startedAt !== undefined && finishedAt !== undefined && +finishedAt - +startedAt > wellAfterMs;
  }

  private waitFor(reason: string, message: string): void {
    this.state = { waiting: { reason, message } };
    this.around.changed();
  }

  private async pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.around.stopping }).catch(() => undefined);
  }

  private async launch(): Promise<boolean> {
    try {
      const { argv, env, cwd, user } = await this.prepare();
      if (this.around.stopping.aborted) return false;
      const process = this.processOf(this.attempt + 1);
      // On disk before the act: whoever comes after a killed agent must know of the process.
      this.attempt += 1;
      this.around.save();
      await process.start(argv, env, cwd, user);
      this.process = process;
      this.state = { running: { startedAt: new Date() } };
      this.around.save();
      this.around.changed();
      return true;
    } catch (cause) {
      const pulling = cause instanceof ImageError;
      const known = this.state.waiting?.reason;
      const reason = cause instanceof ContainerConfigError ? cause.reason : 'CreateContainerError';
      const again = known === 'ErrImagePull' || known === 'ImagePullBackOff';
      this.waitFor(pulling ? (again ? 'ImagePullBackOff' : 'ErrImagePull') : reason, messageOf(cause));
      return false;
    }
  }

  /** @throws ImageError, ContainerConfigError */
  private async prepare(): Promise<Launch> {
    const { spec, around } = this;
    const image = findImage(spec.image ?? '');
    if (!image) {
      throw new ImageError(
        `image "${spec.image}": not found in the registry (sandbox/application/images.json); name it with its digest, name:tag@sha256:…`,
      );
    }
    const inMounts = mountRewriter(spec, (name) => volumeFolder(around.place.pod, around.volumes, name));
    const declared = await declaredEnvironment(around.place, spec);
    for (const [name, value] of Object.entries(declared)) declared[name] = inMounts(value);
    const imageEnv = Object.fromEntries(Object.entries(image.env).map(([name, value]) => [name, fillIn(value)]));
    const words = spec.command
      ? [...spec.command, ...(spec.args ?? [])]
      : [...image.command.map(fillIn), ...(spec.args ?? image.args.map(fillIn))];
    return {
      argv: words.map((word) => inMounts(expand(word, declared))),
      env: { ...imageEnv, ...placeEnvironment(around.place, declared) },
      cwd: makeFolder(around.folder),
      ...(image.user ? { user: image.user } : {}),
    };
  }

  private async target(): Promise<ProbeTarget> {
    const { env, cwd } = await this.prepare();
    const { cluster, address } = this.around.place;
    const path = { PATH: process.env['PATH'] ?? '' };
    const gid = isRoot ? plan[cluster.site].gid : undefined;
    return { container: this.spec, address, env: { ...path, ...env }, cwd, gid };
  }

  /** Probes the process for as long as it runs. @returns its exit code. */
  private async watch(): Promise<number> {
    const process = this.process as ContainerProcess;
    const ended = new AbortController();
    const startedAt = this.state.running?.startedAt ?? new Date();
    if (!this.init) void this.probe(process, AbortSignal.any([ended.signal, this.around.stopping]));
    const code = await process.end();
    ended.abort();
    this.process = undefined;
    [this.ready, this.started] = [false, false];
    const signal = code > 128 ? { signal: code - 128 } : {};
    const reason = code === 0 ? 'Completed' : 'Error';
    this.last = { exitCode: code, reason, startedAt, finishedAt: new Date(), ...signal };
    this.state = { terminated: this.last };
    this.around.changed();
    return code;
  }

  private async probe(process: ContainerProcess, signal: AbortSignal): Promise<void> {
    const { startupProbe, livenessProbe, readinessProbe } = this.spec;
    try {
      const target = await this.target();
      const restart = (kind: string) => {
        log(`${process.name}: ${kind} probe failed, container will be restarted`);
        void process.stop(this.around.place.pod.spec?.terminationGracePeriodSeconds ?? 30);
        return false;
      };
      if (startupProbe && !this.started) await this.awaitStartup(target, signal, restart);
      if (signal.aborted) return;
      this.started = true;
      this.ready ||= !readinessProbe;
      this.around.changed();
      await Promise.all([
        livenessProbe && keepProbing(target, livenessProbe, signal, (ok) => ok || restart('liveness')),
        readinessProbe && keepProbing(target, readinessProbe, signal, (ok) => this.setReady(ok)),
      ]);
    } catch (cause) {
      if (!signal.aborted) log(`${process.name}: ${messageOf(cause)}`);
    }
  }

  /** Resolves at the first success; a container that fails it is restarted, which aborts the signal. */
  private async awaitStartup(
    target: ProbeTarget,
    signal: AbortSignal,
    restart: (kind: string) => boolean,
  ): Promise<void> {
    const { startupProbe } = this.spec;
    if (!startupProbe) return;
    let succeeded = false;
    await keepProbing(target, startupProbe, signal, (ok) => {
      succeeded = ok;
      if (!ok) restart('startup');
      return false;
    });
    if (!succeeded && !signal.aborted) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    }
  }

  private setReady(ready: boolean): boolean {
    if (this.ready !== ready) {
      this.ready = ready;
      this.around.changed();
    }
    return true;
  }
}

const nextBackoff = (ms: number) => Math.min(Math.max(firstBackoffMs, ms * 2), longestBackoffMs);
