/** What a vendor of public DNS is to the rest of the program. */
import type * as pulumi from '@pulumi/pulumi';

export interface AddressRecord {
  /** The full name. */
  readonly host: string;
  readonly address: pulumi.Input<string>;
  /** Shown beside the record at the vendor. */
  readonly comment: string;
}

export interface DnsProvider {
  /** Makes an address record; the same name keeps the same record for life, only its address moves. */
  addressRecord(name: string, record: AddressRecord, opts: pulumi.CustomResourceOptions): pulumi.CustomResource;
}
