/**
 * The bootstrap: brings together what the sandbox is made of, from this machine, the vendors or the package registries. Each step
 * is idempotent and kept in one folder; once all are done no network is needed.
 */
import * as fs from 'node:fs';
import { lock } from '../../bin/lock';
import { SandboxError } from '../error';
import { folders } from '../world';
import { prepareBackupTools } from './backup-tools';
import { prepareJava } from './java';
import { prepareKeycloak } from './keycloak';
import { prepareKubebox } from './kubebox';
import { preparePacketFilter } from './packet-filter';
import { preparePostgres } from './postgres';
import { chooseProviders } from './providers';
import { preparePulumi } from './pulumi';
import { secondsSince, type Report } from './step';
import { writeToolchain, type Toolchain } from './toolchain';
import { prepareVersitygw } from './versitygw';

export { buildParts } from './parts';
export { readToolchain, type Toolchain } from './toolchain';

/**
 * @param report told one line per step, with its time, and some while a step takes long.
 * @throws SandboxError, one line: which tool, which version, how to get it.
 */
export async function bootstrap(report: Report): Promise<Toolchain> {
  if (process.platform !== 'linux') {
    throw new SandboxError(
      'NotLinux',
      `the sandbox runs on Linux, this is ${process.platform}; use a Linux machine, virtual or not`,
    );
  }
  fs.mkdirSync(folders.cache, { recursive: true });
  const release = await lock(folders.cache, (pid) => report(`set-up: waiting for process ${pid}, which is at it`));
  const began = Date.now();
  try {
    const toolchain = await prepareAll(report);
    writeToolchain(toolchain);
    report(`set-up: complete (${secondsSince(began)})`);
    return toolchain;
  } finally {
    release();
  }
}

/** Side by side, but the Go builds one after the other: each uses all processors, and the next finds what they share. */
async function prepareAll(report: Report): Promise<Toolchain> {
  const stopper = new AbortController();
  const context = { report, signal: stopper.signal };
  const [pulumi, java, postgres] = [preparePulumi(context), prepareJava(context), preparePostgres(context)];
  const engineDone = pulumi.catch(() => undefined);
  const kubebox = prepareKubebox(context, engineDone);
  const kubeboxDone = kubebox.catch(() => undefined);
  const steps = [
    pulumi,
    pulumi.then((engine) => chooseProviders(context, engine)),
    kubebox,
    java,
    prepareKeycloak(context, java, postgres),
    postgres,
    prepareVersitygw(context, kubeboxDone),
    prepareBackupTools(context),
    preparePacketFilter(context),
  ] as const;
  try {
    const [engine, providers, controlPlane, javaTool, keycloak, postgresTool, versitygw, backupTools] =
      await Promise.all(steps);
    const { bin: postgresBin, version: postgresVersion } = postgresTool;
    return {
      ...{ pulumi: engine, providers, kubebox: controlPlane, java: javaTool, keycloak },
      ...{ postgresBin, postgresVersion, versitygw, ...backupTools },
    };
  } catch (cause) {
    // Those that run beside the one that failed are stopped; what they were making stays unfinished.
    stopper.abort(cause);
    await Promise.allSettled(steps);
    throw cause;
  }
}
