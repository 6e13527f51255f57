/**
 * A container's process. It runs under a few lines of shell that outlive a killed node agent, wait for it, write down how
 * it ended, and take what it left behind with them: what a container runtime's shim does.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isRunning, list, logFile, start, stop, type ProcessSpec } from '../process';
import type { Site } from '../world';

const lookEveryMs = 50;
const killedExitCode = 137; // 128 + SIGKILL: nobody could write it down

// SIGTERM reaches the whole group; the shell stays until the process has ended. `wait` returns early on a signal, hence the loop.
const shim = `
trap : TERM INT
"$@" & child=$!
while :; do wait $child; code=$?; kill -0 $child 2>/dev/null || break; done
echo $code > "$STANDBY_EXIT_FILE.new" && mv "$STANDBY_EXIT_FILE.new" "$STANDBY_EXIT_FILE"
kill -KILL -$$`;

export interface ContainerProcessSpec {
  readonly site: Site;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  /** 0 for the first process of the container, 1 after its first restart. */
  readonly attempt: number;
  /** The pod's folder. */
  readonly folder: string;
}

export class ContainerProcess {
  readonly name: string;
  private readonly exitFile: string;

  constructor(private readonly spec: ContainerProcessSpec) {
    this.name = `pod/${spec.site}/${spec.namespace}/${spec.pod}/${spec.container}/${spec.attempt}`;
    this.exitFile = path.join(spec.folder, `${spec.container}.${spec.attempt}.exit`);
  }

  get log(): string {
    return logFile(this.name);
  }

  get pid(): number | undefined {
    return list().find((record) => record.name === this.name)?.pid;
  }

  /** @throws Error when the command can't be started. */
  async start(
    argv: readonly string[],
    env: Readonly<Record<string, string>>,
    cwd: string,
    user?: ProcessSpec['user'],
  ): Promise<void> {
    fs.rmSync(this.exitFile, { force: true });
    fs.rmSync(this.log, { force: true });
    await start({
      name: this.name,
      command: '/bin/sh',
      args: ['-c', shim, 'sh', ...argv],
      env: { ...env, STANDBY_EXIT_FILE: this.exitFile },
      cwd,
      site: this.spec.site,
      scope: 'cluster',
      ...(user ? { user } : {}),
    });
  }

  get alive(): boolean {
    return isRunning(this.name) && !fs.existsSync(this.exitFile);
  }

  /** Waits for the end. @returns the exit code: 128 + n after signal n. */
  async end(): Promise<number> {
    while (this.alive) await delay(lookEveryMs);
    // The shim moves the file into place before it goes, so a missing one means that the shim was killed.
    while (isRunning(this.name)) await delay(1);
    const code = fs.existsSync(this.exitFile) ? Number(fs.readFileSync(this.exitFile, 'utf8')) : killedExitCode;
    await this.stop(0);
    return code;
  }

  /** SIGTERM, SIGKILL after the grace. When it resolves nothing of the process is left. */
  async stop(graceSeconds: number): Promise<void> {
    await stop((record) => record.name === this.name, graceSeconds * 1000);
  }
}

/** Stops all container processes of a site that `keep` does not claim. */
export async function stopOthers(
  site: Site,
  keep: (processName: string) => boolean,
  graceSeconds: number,
): Promise<void> {
  await stop((record) => record.name.startsWith(`pod/${site}/`) && !keep(record.name), graceSeconds * 1000);
}
