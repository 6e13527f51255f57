/** The engine's side of the provider protocol: one connection, as the engine opens one for each provider instance. */
import * as grpc from '@grpc/grpc-js';
import { ResourceProviderClient } from '@pulumi/pulumi/proto/provider_grpc_pb';
import * as pb from '@pulumi/pulumi/proto/provider_pb';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { decode, encode } from '../../sandbox/providers/codec';
import type { Properties } from '../../sandbox/providers/plugin';

type Done<Response> = (error: grpc.ServiceError | null, response: Response) => void;

export class Connection {
  private readonly client: ResourceProviderClient;

  constructor(
    port: number,
    private readonly type: string,
  ) {
    // Without it, two clients of one process share a connection.
    const options = { 'grpc.use_local_subchannel_pool': 1 };
    this.client = new ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), options);
  }

  private call = <Response>(send: (done: Done<Response>) => void): Promise<Response> =>
    new Promise((resolve, reject) => send((error, response) => (error ? reject(error) : resolve(response))));

  async configure(config: Properties): Promise<void> {
    await this.call<unknown>((done) => this.client.handshake(new pb.ProviderHandshakeRequest(), done));
    await this.call<unknown>((done) => this.client.configure(new pb.ConfigureRequest().setArgs(encode(config)), done));
  }

  async create(name: string, inputs: Properties): Promise<{ id: string; outputs: Properties }> {
    const urn = `urn:pulumi:s::p::${this.type}::${name}`;
    const request = new pb.CreateRequest().setUrn(urn).setProperties(encode(inputs));
    const response = await this.call<pb.CreateResponse>((done) => this.client.create(request, done));
    return { id: response.getId(), outputs: decode(response.getProperties()) };
  }

  async cancel(): Promise<void> {
    await this.call<unknown>((done) => this.client.cancel(new Empty(), done));
  }

  close = () => this.client.close();
}
