/**
 * Puts a Node process at its place in the world: `node --require hook.js`, with a `Standpoint` as JSON in STANDBY_NET.
 * Names go to the given resolver, connections leave from the own or the egress address and find the ports that stand in
 * for the canonical ones, and a server that listens "everywhere" listens on the process' own address. A `dns.Resolver` asks the
 * servers that it is given: what several resolvers say is seen as they say it.
 */
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import { type NameError, Names } from './names';
import { routeTo, type Standpoint } from './route';

type LookupCallback = (error: Error | null, address?: string | dns.LookupAddress[], family?: number) => void;
type Connect = (options: net.NetConnectOpts, listener?: () => void) => net.Socket;

/** What stays with the machine's own resolver. */
const isLocal = (name: string) => net.isIP(name) !== 0 || name === 'localhost' || name === '';

/** @returns the options of any of the forms that `socket.connect` takes, also the one that Node hands to itself. */
function connectArguments(args: readonly unknown[]): {
  options: net.NetConnectOpts;
  listener: (() => void) | undefined;
} {
  const list = Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
  const [first, second] = list;
  const last = list.at(-1);
  const listener = typeof last === 'function' ? (last as () => void) : undefined;
  if (typeof first === 'object' && first !== null) return { options: first as net.NetConnectOpts, listener };
  if (typeof first === 'string' && !/^\d+$/.test(first)) return { options: { path: first }, listener };
  return { options: { port: Number(first), ...(typeof second === 'string' ? { host: second } : {}) }, listener };
}

function patchLookup(names: Names): void {
  const systemLookup = dns.lookup;
  const systemPromise = dns.promises.lookup;

  const lookup = (name: string, options: number | dns.LookupOptions, callback: LookupCallback): void => {
    const wanted = typeof options === 'number' ? { family: options } : options;
    if (wanted.family === 6 || wanted.family === 'IPv6') {
      process.nextTick(
        callback,
        Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND', hostname: name }),
      );
      return;
    }
    names.resolve(name).then(
      (addresses) =>
        wanted.all
          ? callback(
              null,
              addresses.map((address) => ({ address, family: 4 })),
            )
          : callback(null, addresses[0], 4),
      (cause: Error) => callback(cause),
    );
  };

  Object.assign(dns, {
    lookup: (name: string, ...rest: unknown[]) => {
      const callback = rest.at(-1) as LookupCallback;
      const options = (rest.length > 1 ? rest[0] : {}) as number | dns.LookupOptions;
      if (isLocal(name)) (systemLookup as (...args: unknown[]) => void)(name, options, callback);
      else lookup(name, options, callback);
    },
  });
  Object.assign(dns.promises, {
    lookup: (name: string, options: number | dns.LookupOptions = {}) =>
      isLocal(name)
        ? systemPromise(name, options as dns.LookupOptions)
        : new Promise((done, failed) => {
            lookup(name, options, (error, address, family) => {
              if (error) failed(error);
              else done(Array.isArray(address) ? address : { address, family });
            });
          }),
  });
}

function patchConnect(from: Standpoint, names: Names): void {
  const connect = Reflect.get(net.Socket.prototype, 'connect') as Connect;

  const dial = (socket: net.Socket, options: net.TcpNetConnectOpts, address: string, listener?: () => void) => {
    const route = routeTo(from, address, options.port);
    const target = route
      ? { ...options, host: route.address, port: route.port, localAddress: options.localAddress ?? route.localAddress }
      : { ...options, host: address };
    return connect.call(socket, target, listener);
  };

  const connectByName = (socket: net.Socket, options: net.TcpNetConnectOpts, name: string, listener?: () => void) => {
    // What is written before the name is resolved waits, as it does for the connection itself.
    (socket as { connecting: boolean }).connecting = true;
    names.resolve(name).then(
      ([address]) => {
        if (socket.destroyed) return;
        socket.emit('lookup', null, address, 4, name);
        dial(socket, options, address ?? '', listener);
      },
      (cause: NameError) => {
        if (socket.destroyed) return;
        socket.emit('lookup', cause, undefined, undefined, name);
        socket.destroy(cause);
      },
    );
    return socket;
  };

  net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]) {
    const { options, listener } = connectArguments(args);
    if (!('port' in options) || options.port === undefined) return connect.call(this, options, listener);
    const host = options.host ?? 'localhost';
    if (net.isIPv4(host)) return dial(this, options, host, listener);
    return isLocal(host) ? connect.call(this, options, listener) : connectByName(this, options, host, listener);
  };
}

/** Pods do not share a network on a real node; here they share the loopback device, so each keeps to its own address. */
function patchListen(from: Standpoint): void {
  const listen = Reflect.get(net.Server.prototype, 'listen') as (...args: unknown[]) => net.Server;
  const everywhere = new Set([undefined, '', '0.0.0.0', '::']);

  net.Server.prototype.listen = function (this: net.Server, ...args: unknown[]) {
    const [first, second] = args;
    const callback = args.filter((one) => typeof one === 'function');
    if (typeof first === 'object' && first !== null && 'port' in first) {
      const options = first as net.ListenOptions;
      return listen.call(
        this,
        { ...options, host: everywhere.has(options.host) ? from.address : options.host },
        ...callback,
      );
    }
    if (typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))) {
      const host = typeof second === 'string' ? second : undefined;
      const backlog = args.find((one, index) => index > 0 && typeof one === 'number') as number | undefined;
      const options = {
        port: Number(first),
        host: everywhere.has(host) ? from.address : host,
        ...(backlog ? { backlog } : {}),
      };
      return listen.call(this, options, ...callback);
    }
    return listen.apply(this, args);
  } as never;
}

function main(): void {
  const text = process.env['STANDBY_NET'];
  if (!text) return;
  const from = JSON.parse(text) as Standpoint;
  const names = new Names(from.resolver, from.address);
  patchLookup(names);
  patchConnect(from, names);
  // Outside both sites it is a machine of its own, whose programs talk to each other over its own loopback device.
  if (from.site !== undefined) patchListen(from);
  syncBuiltinESMExports();
}

main();
