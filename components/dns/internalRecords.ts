import { PrivateRecordSet } from '@pulumi/azure-native/privatedns/privateRecordSet';
import { VirtualNetworkLink } from '@pulumi/azure-native/privatedns/virtualNetworkLink';
import * as pulumi from '@pulumi/pulumi';
import { untouched, type Options } from '../options';

export interface InternalRecordsArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly zoneName: pulumi.Input<string>;
  /** Short names of the applications. */
  readonly apps: readonly string[];
  /** Ingress of the active site: where the applications are. */
  readonly ingressAddress: pulumi.Input<string>;
  /** Server that the applications write to. */
  readonly databaseFqdn: pulumi.Input<string>;
  /** Identity provider in use. */
  readonly identityFqdn: pulumi.Input<string>;
  /** Names that stay with the site itself, and their addresses. */
  readonly own: Readonly<Record<string, pulumi.Input<string>>>;
  /** Name of the link to the other site's network, and that network: each site sees both zones. */
  readonly linkName: pulumi.Input<string>;
  readonly otherNetworkId: pulumi.Input<string>;
  /** The records that move stay where they are. @default - false */
  readonly frozen?: boolean;
  /** A site can't be reached: the link stays as it is. The records move all the same. @default - false */
  readonly frozenLink?: boolean;
}

/** Seconds that a resolver may keep a record: how long a reverse proxy may still go to the site that was left. */
const timeToLive = 10;

/** What a site's reverse proxy and its people find by internal names: applications, `db` and `idp`. */
export class InternalRecords extends pulumi.ComponentResource {
  readonly zoneName: pulumi.Output<string>;

  constructor(name: string, args: InternalRecordsArgs, opts?: Options) {
    super('standby:dns:InternalRecords', name, {}, opts);
    const moving: pulumi.CustomResourceOptions = { parent: this, ...untouched(args.frozen) };
    for (const app of args.apps) record(name, args, app, toAddress(args.ingressAddress), moving);
    record(name, args, 'db', { recordType: 'CNAME', cnameRecord: { cname: args.databaseFqdn } }, moving);
    record(name, args, 'idp', { recordType: 'CNAME', cnameRecord: { cname: args.identityFqdn } }, moving);
    for (const [host, address] of Object.entries(args.own)) {
      record(name, args, host, toAddress(address), { parent: this });
    }
    linkToOtherSite(this, name, args);

    this.zoneName = pulumi.output(args.zoneName);
    this.registerOutputs({ zoneName: this.zoneName });
  }
}

type Content = Pick<ConstructorParameters<typeof PrivateRecordSet>[1], 'recordType' | 'aRecords' | 'cnameRecord'>;

const toAddress = (ipv4Address: pulumi.Input<string>): Content => ({ recordType: 'A', aRecords: [{ ipv4Address }] });

function record(
  name: string,
  args: InternalRecordsArgs,
  host: string,
  content: Content,
  opts: pulumi.CustomResourceOptions,
) {
  return new PrivateRecordSet(
    `${name}-${host}`,
    {
      resourceGroupName: args.resourceGroupName,
      privateZoneName: args.zoneName,
      relativeRecordSetName: host,
      ttl: timeToLive,
      ...content,
    },
    opts,
  );
}

function linkToOtherSite(parent: pulumi.Resource, name: string, args: InternalRecordsArgs) {
  return new VirtualNetworkLink(
    `${name}-link`,
    {
      resourceGroupName: args.resourceGroupName,
      privateZoneName: args.zoneName,
      virtualNetworkLinkName: args.linkName,
      location: 'global',
      registrationEnabled: false,
      virtualNetwork: { id: args.otherNetworkId },
    },
    { parent, ...untouched(args.frozenLink) },
  );
}
