/**
 * The Node language host of an engine that was built from its modules, where the official one is not to be had. The engine
 * starts it with its own address as the last argument, reads the port from the first line on standard output, and asks it
 * to run programs and policy packs. Start time counts, it is part of each `pulumi up`: so it is one file, and loads little.
 */
import * as grpc from '@grpc/grpc-js';
import { LanguageRuntimeService, type ILanguageRuntimeServer } from '@pulumi/pulumi/proto/language_grpc_pb';
import {
  AboutResponse,
  DependencyInfo,
  GetProgramDependenciesResponse,
  GetRequiredPackagesResponse,
  LanguageHandshakeResponse,
  RunPluginResponse,
  RunResponse,
  RuntimeOptionsResponse,
  type ProgramInfo,
  type RunPluginRequest,
  type RunRequest,
} from '@pulumi/pulumi/proto/language_pb';
import { PackageDependency, PluginInfo } from '@pulumi/pulumi/proto/plugin_pb';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { spawn, type ChildProcess } from 'node:child_process';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { installedDependencies } from './dependencies';
import { nodeOptions } from './options';

/** The SDK ends a program with it when it has told the person what went wrong: nothing is to be added. */
const alreadyReported = 32;
const children = new Set<ChildProcess>();

const programInfo = (request: { getInfo(): ProgramInfo | undefined }): ProgramInfo => {
  const info = request.getInfo();
  if (!info)
    throw new Error(
      'the engine sent no program info; it is older than this language host (3.230.0 or newer is needed)',
    );
  return info;
};

/** @throws Error when the SDK is not installed where the program or policy pack looks for it. */
function sdkScript(folder: string, script: 'run' | 'run-plugin' | 'run-policy-pack'): string {
  try {
    return createRequire(path.join(folder, 'package.json')).resolve(`@pulumi/pulumi/cmd/${script}`);
  } catch (cause) {
    throw new Error(`@pulumi/pulumi is not installed in ${folder} or above; run "npm ci" there`, { cause });
  }
}

function startNode(
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
  output: 'inherit' | 'pipe',
): ChildProcess {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', output, output],
  });
  children.add(child);
  child.once('close', () => children.delete(child));
  return child;
}

/** @returns how a program ended, in words; undefined when it went well. */
function failureOf(code: number | null, signal: NodeJS.Signals | null): string | undefined {
  if (signal) return `Program was ended by signal ${signal}`;
  return code === 0 ? undefined : `Program exited with non-zero exit code: ${code}`;
}

function programArguments(request: RunRequest, info: ProgramInfo, engine: string): string[] {
  const flags = {
    monitor: request.getMonitorAddress(),
    engine,
    organization: request.getOrganization(),
    project: request.getProject(),
    stack: request.getStack(),
    pwd: request.getPwd(),
    parallel: String(request.getParallel()),
    'root-directory': info.getRootDirectory(),
  };
  return [
    sdkScript(info.getProgramDirectory(), 'run'),
    ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
    ...(request.getDryrun() ? ['--dry-run'] : []),
    info.getEntryPoint() || '.',
    ...request.getArgsList(),
  ];
}

function runProgram(
  engine: string,
  call: grpc.ServerUnaryCall<RunRequest, RunResponse>,
  callback: grpc.sendUnaryData<RunResponse>,
): void {
  const { request } = call;
  const info = programInfo(request);
  const options = nodeOptions(info.getOptions()?.toJavaScript());
  const config = Object.fromEntries(request.getConfigMap().toObject());
  const child = startNode(
    [...options.nodeArguments, ...programArguments(request, info, engine)],
    info.getProgramDirectory(),
    {
      PULUMI_CONFIG: JSON.stringify(config),
      PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
      ...options.env,
    },
    'inherit',
  );
  call.on('cancelled', () => child.kill());
  child.once('error', (cause) => callback(cause));
  child.once('close', (code, signal) => {
    const response = new RunResponse();
    if (code === alreadyReported) response.setBail(true);
    else response.setError(failureOf(code, signal) ?? '');
    callback(null, response);
  });
}

function pluginArguments(request: RunPluginRequest, folder: string): string[] {
  return request.getKind() === 'analyzer'
    ? [sdkScript(folder, 'run-policy-pack'), ...request.getArgsList(), folder]
    : [sdkScript(folder, 'run-plugin'), folder, ...request.getArgsList()];
}

function runPlugin(call: grpc.ServerWritableStream<RunPluginRequest, RunPluginResponse>): void {
  const { request } = call;
  const info = programInfo(request);
  const folder = info.getProgramDirectory();
  const options = nodeOptions(info.getOptions()?.toJavaScript());
  const pairs = request.getEnvList().map((pair): [string, string] => {
    const at = pair.indexOf('=');
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
  const child = startNode(
    [...options.nodeArguments, ...pluginArguments(request, folder)],
    request.getKind() === 'analyzer' ? folder : request.getPwd(),
    { ...Object.fromEntries(pairs), ...options.env },
    'pipe',
  );
  const send = (fill: (response: RunPluginResponse) => void) => {
    const response = new RunPluginResponse();
    fill(response);
    call.write(response);
  };
  child.stdout?.on('data', (bytes: Buffer) => send((response) => response.setStdout(bytes)));
  child.stderr?.on('data', (bytes: Buffer) => send((response) => response.setStderr(bytes)));
  call.on('cancelled', () => child.kill());
  child.once('error', (cause) => call.destroy(cause));
  child.once('close', (code) => {
    send((response) => response.setExitcode(code ?? 1));
    call.end();
  });
}

function requiredPackages(folder: string): GetRequiredPackagesResponse {
  const plugins = installedDependencies(folder).flatMap(({ plugin }) => (plugin ? [plugin] : []));
  return new GetRequiredPackagesResponse().setPackagesList(
    plugins.map(({ name, version, server }) => {
      const dependency = new PackageDependency().setName(name).setKind('resource').setVersion(version);
      return server ? dependency.setServer(server) : dependency;
    }),
  );
}

function programDependencies(folder: string): GetProgramDependenciesResponse {
  return new GetProgramDependenciesResponse().setDependenciesList(
    installedDependencies(folder).map(({ name, version }) => new DependencyInfo().setName(name).setVersion(version)),
  );
}

/** Answers with what `make` returns; what it throws becomes the call's error, in one line. */
const answer =
  <Request, Response>(make: (request: Request) => Response): grpc.handleUnaryCall<Request, Response> =>
  (call, callback) => {
    try {
      callback(null, make(call.request));
    } catch (cause) {
      callback(cause as Error);
    }
  };

/** What is missing here answers "unimplemented", which the engine takes for an older language host. */
function service(engine: string): Partial<ILanguageRuntimeServer> {
  return {
    handshake: answer(() => new LanguageHandshakeResponse()),
    // The engine compares it with nothing; it is shown by `pulumi about`.
    getPluginInfo: answer(() => new PluginInfo().setVersion('3.250.0')),
    getRequiredPackages: answer((request) => requiredPackages(programInfo(request).getProgramDirectory())),
    getProgramDependencies: answer((request) => programDependencies(programInfo(request).getProgramDirectory())),
    about: answer(() => new AboutResponse().setExecutable(process.execPath).setVersion(process.version)),
    runtimeOptionsPrompts: answer(() => new RuntimeOptionsResponse()),
    // The repository's lock file is installed by `npm ci` before the engine is ever called.
    installDependencies: (call) => call.end(),
    run: (call, callback) => {
      try {
        runProgram(engine, call, callback);
      } catch (cause) {
        callback(cause as Error);
      }
    },
    runPlugin: (call) => {
      try {
        runPlugin(call);
      } catch (cause) {
        call.destroy(cause as Error);
      }
    },
    cancel: answer(() => {
      stopChildren();
      return new Empty();
    }),
  };
}

function stopChildren(): void {
  for (const child of children) child.kill();
}

function main(): void {
  const engine = process.argv.slice(2).findLast((argument) => !argument.startsWith('-'));
  if (!engine) throw new Error('no engine address was given; this program is started by pulumi, not by hand');
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  server.addService(LanguageRuntimeService, service(engine) as ILanguageRuntimeServer);
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (fault, port) => {
    if (fault) throw fault;
    process.stdout.write(`${port}\n`);
  });
  // The engine holds the other end of standard input: when it ends, even by kill -9, so does this.
  process.stdin.on('end', () => process.exit(0)).resume();
  process.on('exit', stopChildren);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0));
}

main();
