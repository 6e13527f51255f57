/** The two ports of an ingress controller. TLS names are served with certificates of the sandbox's authority. */
import * as http from 'node:http';
import * as https from 'node:https';
import type { Server } from 'node:net';
import * as tls from 'node:tls';
import { issue } from '../authority';
import type { Standpoint } from '../network/route';
import { ports } from '../world';
import { IngressProxy } from './ingress-proxy';
import type { Routes } from './ingress-routes';

/** What nginx shows to who asks for a name that no Ingress has: a certificate that fits nothing. */
const fakeName = 'ingress.local';

export class IngressListener {
  private readonly proxy: IngressProxy;
  private readonly contexts = new Map<string, Promise<tls.SecureContext>>();
  private servers: readonly (http.Server | https.Server)[] = [];

  constructor(
    readonly address: string,
    private readonly ingressClass: string,
    private readonly routes: Routes,
    from: Standpoint,
  ) {
    this.proxy = new IngressProxy((host, path) => routes.find(ingressClass, host, path), from);
  }

  /** @throws Error when a port can't be bound. */
  async open(): Promise<void> {
    const secure = https.createServer(
      {
        ...(await issue([fakeName])),
        SNICallback: (name, callback) => {
          this.contextFor(name).then(
            (context) => callback(null, context),
            (cause: Error) => callback(cause),
          );
        },
      },
      (request, response) => void this.proxy.handle(request, response, 'https'),
    );
    const plain = http.createServer((request, response) => void this.proxy.handle(request, response, 'http'));
    this.servers = [secure, plain];
    try {
      await listen(secure, ports.https, this.address);
      await listen(plain, ports.http, this.address);
    } catch (cause) {
      await this.close();
      throw cause;
    }
  }

  async close(): Promise<void> {
    this.proxy.close();
    await Promise.all(
      this.servers.map((server) => {
        const closed = new Promise((resolve) => server.close(resolve));
        server.closeAllConnections();
        return closed;
      }),
    );
  }

  /** One wildcard certificate serves all hosts of a zone. */
  private contextFor(name: string): Promise<tls.SecureContext> {
    const zone = name.slice(name.indexOf('.') + 1);
    const known = this.routes.hostsOf(this.ingressClass).has(name);
    const key = known ? zone : fakeName;
    const context =
      this.contexts.get(key) ??
      issue(known ? [`*.${zone}`, zone] : [fakeName]).then(({ cert, key: privateKey }) =>
        tls.createSecureContext({ cert, key: privateKey }),
      );
    this.contexts.set(key, context);
    context.catch(() => this.contexts.delete(key));
    return context;
  }
}

const listen = (server: Server, port: number, host: string) =>
  new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
