/**
 * Serves a plugin over the engine's provider protocol (gRPC, `pulumirpc.ResourceProvider`).
 *
 * The engine opens one connection for each provider instance of a program (two kubeconfigs: two connections to one port), so
 * the configuration belongs to the connection. Secrets are the engine's to keep: it opens them for us and marks what comes
 * back where they were put; what a plugin itself marks with `Secret` is kept as well.
 */
import * as grpc from '@grpc/grpc-js';
import { ResourceProviderService } from '@pulumi/pulumi/proto/provider_grpc_pb';
import { ErrorResourceInitFailed } from '@pulumi/pulumi/proto/provider_pb';
import * as pb from '@pulumi/pulumi/proto/provider_pb';
import { PluginInfo } from '@pulumi/pulumi/proto/plugin_pb';
import { Status } from '@pulumi/pulumi/proto/status_pb';
import { Any } from 'google-protobuf/google/protobuf/any_pb';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { decode, encode } from './codec';
import { diff } from './diff';
import { InitFailed, type Call, type CheckCall, type Diff, type Plugin, type Provider, type Target } from './plugin';

interface Connection {
  provider?: Provider;
  readonly running: Set<AbortController>;
}

interface Named {
  getUrn(): string;
  getType(): string;
  getName(): string;
}

type Handler<Request, Response> = (
  request: Request,
  connection: Connection,
  signal: AbortSignal,
) => Response | Promise<Response>;

/** Connections end unannounced; the oldest are forgotten. An engine opens a handful for each update. */
const maximumConnections = 1_000;

class Connections {
  private readonly byPeer = new Map<string, Connection>();

  /** A handshake is the first call of a connection: a port that comes again starts afresh. */
  open(peer: string): Connection {
    const connection: Connection = { running: new Set() };
    this.byPeer.delete(peer);
    this.byPeer.set(peer, connection);
    for (const oldest of this.byPeer.keys()) {
      if (this.byPeer.size <= maximumConnections) break;
      this.byPeer.delete(oldest);
    }
    return connection;
  }

  get(peer: string): Connection {
    return this.byPeer.get(peer) ?? this.open(peer);
  }
}

const targetOf = (request: Named): Target => {
  const urn = request.getUrn();
  return {
    urn,
    type: request.getType() || (urn.split('::')[2] ?? '').split('$').pop() || '',
    name: request.getName() || urn.split('::').slice(3).join('::'),
  };
};

const callOf = (request: Named & { getTimeout?(): number }, signal: AbortSignal): Call => {
  const seconds = request.getTimeout?.() ?? 0;
  return { ...targetOf(request), signal, ...(seconds > 0 ? { timeoutMs: seconds * 1_000 } : {}) };
};

function configured(connection: Connection): Provider {
  if (!connection.provider)
    throw new Error(
      'this provider is not configured: the stand-in was started anew during the update; run the update again',
    );
  return connection.provider;
}

const autonamingModes = ['propose', 'enforce', 'disable'] as const;

function checkCall(request: pb.CheckRequest, signal: AbortSignal): CheckCall {
  const autonaming = request.getAutonaming();
  return {
    ...callOf(request, signal),
    olds: decode(request.getOlds()),
    news: decode(request.getNews()),
    seed: request.getRandomseed_asU8(),
    ...(autonaming
      ? {
          autonaming: {
            mode: autonamingModes[autonaming.getMode()] ?? 'propose',
            proposed: autonaming.getProposedName(),
          },
        }
      : {}),
  };
}

const checkResponse = (
  inputs: Parameters<typeof encode>[0],
  failures: readonly { property: string; reason: string }[],
): pb.CheckResponse =>
  new pb.CheckResponse()
    .setInputs(encode(inputs))
    .setFailuresList(
      failures.map(({ property, reason }) => new pb.CheckFailure().setProperty(property).setReason(reason)),
    );

function diffResponse({ changes, deleteBeforeReplace }: Diff): pb.DiffResponse {
  const { PropertyDiff, DiffResponse } = pb;
  const response = new DiffResponse().setHasdetaileddiff(true).setDeletebeforereplace(deleteBeforeReplace);
  response.setChanges(changes.size ? DiffResponse.DiffChanges.DIFF_SOME : DiffResponse.DiffChanges.DIFF_NONE);
  const top = (path: string) => path.split(/[.[]/)[0] ?? path;
  response.setDiffsList([...new Set([...changes.keys()].map(top))]);
  response.setReplacesList([
    ...new Set([...changes].filter(([, change]) => change.replace).map(([path]) => top(path))),
  ]);
  const kinds = { add: PropertyDiff.Kind.ADD, delete: PropertyDiff.Kind.DELETE, update: PropertyDiff.Kind.UPDATE };
  for (const [path, { kind, replace }] of changes) {
    // Each kind that replaces follows its plain one.
    response
      .getDetaileddiffMap()
      .set(path, new PropertyDiff().setKind(kinds[kind] + (replace ? 1 : 0)).setInputdiff(true));
  }
  return response;
}

/** Everything but what concerns a connection's start: one entry for each call of the protocol. */
const handlers = (plugin: Plugin) => ({
  getSchema: (() =>
    new pb.GetSchemaResponse().setSchema(
      JSON.stringify({ name: plugin.name, version: plugin.version }),
    )) satisfies Handler<pb.GetSchemaRequest, pb.GetSchemaResponse>,
  getPluginInfo: (() => new PluginInfo().setVersion(plugin.version)) satisfies Handler<Empty, PluginInfo>,
  getMapping: (() => new pb.GetMappingResponse()) satisfies Handler<pb.GetMappingRequest, pb.GetMappingResponse>,
  getMappings: (() => new pb.GetMappingsResponse()) satisfies Handler<pb.GetMappingsRequest, pb.GetMappingsResponse>,
  attach: (() => new Empty()) satisfies Handler<unknown, Empty>,
  cancel: ((_, connection) => {
    for (const controller of connection.running) controller.abort(new Error('the update was cancelled'));
    return new Empty();
  }) satisfies Handler<Empty, Empty>,
  checkConfig: ((request) => checkResponse(decode(request.getNews()), [])) satisfies Handler<
    pb.CheckRequest,
    pb.CheckResponse
  >,
  // A changed credential replaces no resource, but the engine must configure the provider anew; another cluster is another one.
  diffConfig: ((request) =>
    diffResponse(
      diff(decode(request.getOldInputs()), decode(request.getNews()), (path) => path === 'clusterIdentifier'),
    )) satisfies Handler<pb.DiffRequest, pb.DiffResponse>,
  configure: ((request, connection) => {
    connection.provider = plugin.configure(decode(request.getArgs()));
    return new pb.ConfigureResponse().setSupportspreview(true).setSupportsAutonamingConfiguration(true);
  }) satisfies Handler<pb.ConfigureRequest, pb.ConfigureResponse>,
  invoke: (async (request, connection, signal) =>
    new pb.InvokeResponse().setReturn(
      encode(await configured(connection).invoke(request.getTok(), decode(request.getArgs()), signal)),
    )) satisfies Handler<pb.InvokeRequest, pb.InvokeResponse>,
  check: (async (request, connection, signal) => {
    const { inputs, failures } = await configured(connection).check(checkCall(request, signal));
    return checkResponse(inputs, failures);
  }) satisfies Handler<pb.CheckRequest, pb.CheckResponse>,
  diff: ((request, connection) =>
    diffResponse(
      configured(connection).diff({
        ...targetOf(request),
        id: request.getId(),
        oldInputs: decode(request.getOldInputs()),
        oldOutputs: decode(request.getOlds()),
        news: decode(request.getNews()),
      }),
    )) satisfies Handler<pb.DiffRequest, pb.DiffResponse>,
  create: (async (request, connection, signal) => {
    const inputs = decode(request.getProperties());
    const provider = configured(connection);
    if (request.getPreview())
      return new pb.CreateResponse().setProperties(encode(provider.preview({ ...targetOf(request), inputs })));
    const { id, outputs } = await provider.create({ ...callOf(request, signal), inputs });
    return new pb.CreateResponse().setId(id).setProperties(encode(outputs));
  }) satisfies Handler<pb.CreateRequest, pb.CreateResponse>,
  read: (async (request, connection, signal) => {
    const inputs = request.hasInputs() ? { inputs: decode(request.getInputs()) } : {};
    const state = await configured(connection).read({
      ...callOf(request, signal),
      id: request.getId(),
      ...inputs,
      outputs: decode(request.getProperties()),
    });
    if (!state.id) return new pb.ReadResponse();
    return new pb.ReadResponse().setId(state.id).setProperties(encode(state.outputs)).setInputs(encode(state.inputs));
  }) satisfies Handler<pb.ReadRequest, pb.ReadResponse>,
  update: (async (request, connection, signal) => {
    const [inputs, oldOutputs] = [decode(request.getNews()), decode(request.getOlds())];
    const provider = configured(connection);
    const outputs = request.getPreview()
      ? provider.preview({ ...targetOf(request), inputs, oldOutputs })
      : await provider.update({
          ...callOf(request, signal),
          id: request.getId(),
          oldInputs: decode(request.getOldInputs()),
          oldOutputs,
          inputs,
        });
    return new pb.UpdateResponse().setProperties(encode(outputs));
  }) satisfies Handler<pb.UpdateRequest, pb.UpdateResponse>,
  delete: (async (request, connection, signal) => {
    const [inputs, outputs] = [decode(request.getOldInputs()), decode(request.getProperties())];
    await configured(connection).delete({ ...callOf(request, signal), id: request.getId(), inputs, outputs });
    return new Empty();
  }) satisfies Handler<pb.DeleteRequest, Empty>,
});

/** A resource that exists but failed to become ready travels as a detail of the error, in the way of Go's gRPC. */
function errorOf(cause: unknown): grpc.ServiceError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const metadata = new grpc.Metadata();
  if (cause instanceof InitFailed) {
    const detail = new ErrorResourceInitFailed()
      .setId(cause.id)
      .setProperties(encode(cause.outputs))
      .setReasonsList([...cause.reasons]);
    const packed = new Any();
    packed.pack(detail.serializeBinary(), 'pulumirpc.ErrorResourceInitFailed');
    const status = new Status();
    status.setCode(grpc.status.UNKNOWN);
    status.setMessage(message);
    status.addDetails(packed);
    metadata.add('grpc-status-details-bin', Buffer.from(status.serializeBinary()));
  }
  return Object.assign(new Error(message), { code: grpc.status.UNKNOWN, details: message, metadata });
}

const serve =
  <Request, Response>(
    connections: Connections,
    handler: Handler<Request, Response>,
  ): grpc.handleUnaryCall<Request, Response> =>
  async (call, callback) => {
    const connection = connections.get(call.getPeer());
    const controller = new AbortController();
    connection.running.add(controller);
    call.on('cancelled', () => controller.abort(new Error('the engine is gone')));
    try {
      callback(null, await handler(call.request, connection, controller.signal));
    } catch (cause) {
      callback(errorOf(cause));
    } finally {
      connection.running.delete(controller);
    }
  };

/**
 * Listens on 127.0.0.1.
 * @param port - 0 chooses a free one.
 * @returns the port and what ends the server, calls in flight included.
 * @throws Error when the port is taken.
 */
export async function listen(plugin: Plugin, port: number): Promise<{ port: number; close: () => void }> {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  const connections = new Connections();
  const handshake: grpc.handleUnaryCall<pb.ProviderHandshakeRequest, pb.ProviderHandshakeResponse> = (
    call,
    callback,
  ) => {
    connections.open(call.getPeer());
    callback(null, new pb.ProviderHandshakeResponse().setSupportsAutonamingConfiguration(true));
  };
  const entries = Object.entries(handlers(plugin)).map(([name, handler]) => [
    name,
    serve(connections, handler as Handler<unknown, unknown>),
  ]);
  const service = { ...Object.fromEntries(entries), handshake } as grpc.UntypedServiceImplementation;
  server.addService(ResourceProviderService, service);
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (cause, actual) =>
      cause
        ? reject(new Error(`${plugin.name}: can't listen on 127.0.0.1:${port}: ${cause.message}`))
        : resolve(actual),
    ),
  );
  return { port: bound, close: () => server.forceShutdown() };
}
