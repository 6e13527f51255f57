import * as pulumi from '@pulumi/pulumi';
import type { Hosts } from '../../config/fields';
import { untouched, type Options } from '../options';
import type { DnsProvider } from './provider';

export interface PublicRecordsArgs {
  readonly provider: DnsProvider;
  readonly hosts: Hosts;
  /** Where all of them lead: the active site's ingress. */
  readonly address: pulumi.Input<string>;
  /** They stay where they are. @default - false */
  readonly frozen?: boolean;
}

/** The public hosts. They move together, by one address. */
export class PublicRecords extends pulumi.ComponentResource {
  readonly address: pulumi.Output<string>;

  constructor(name: string, args: PublicRecordsArgs, opts?: Options) {
    super('standby:dns:PublicRecords', name, {}, opts);
    for (const [short, host] of Object.entries(args.hosts)) {
      args.provider.addressRecord(
        `${name}-${short}`,
        { host, address: args.address, comment: 'Moved by the failover stack' },
        { parent: this, ...untouched(args.frozen) },
      );
    }
    this.address = pulumi.output(args.address);
    this.registerOutputs({ address: this.address });
  }
}
