import { R2Bucket } from '@pulumi/cloudflare/r2bucket';
import { R2BucketLock } from '@pulumi/cloudflare/r2bucketLock';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';

export interface OffsiteBucketArgs {
  /** Account at Cloudflare. */
  readonly accountId: pulumi.Input<string>;
  /** 3 to 63 lower-case letters, digits and hyphens. */
  readonly bucketName: pulumi.Input<string>;
  /** Where the provider guarantees that data stay: `eu`. */
  readonly jurisdiction: pulumi.Input<string>;
  /** Days that nobody can change or delete what was written: as long as the longest of the plan's retention. */
  readonly retentionDays: pulumi.Input<number>;
}

const daySeconds = 86_400;

/** The copy at another provider than the sites': a bucket at Cloudflare R2 whose lock keeps every object for its time. */
export class OffsiteBucket extends pulumi.ComponentResource {
  readonly bucketName: pulumi.Output<string>;

  constructor(name: string, args: OffsiteBucketArgs, opts?: Options) {
    super('standby:backup:OffsiteBucket', name, {}, opts);
    const bucket = r2Bucket(this, name, args);
    lock(this, name, args, bucket);

    this.bucketName = bucket.name;
    this.registerOutputs({ bucketName: this.bucketName });
  }
}

function r2Bucket(parent: pulumi.Resource, name: string, { accountId, bucketName, jurisdiction }: OffsiteBucketArgs) {
  return new R2Bucket(
    `${name}-bucket`,
    { accountId, name: bucketName, jurisdiction, storageClass: 'Standard' },
    { parent, protect: true },
  );
}

/** Of the bucket, for all objects alike: R2 has no lock for each. The program that writes there is told so (`lock: bucket`). */
function lock(
  parent: pulumi.Resource,
  name: string,
  { accountId, jurisdiction, retentionDays }: OffsiteBucketArgs,
  bucket: R2Bucket,
) {
  const maxAgeSeconds = pulumi.output(retentionDays).apply((days) => days * daySeconds);
  return new R2BucketLock(
    `${name}-lock`,
    {
      ...{ accountId, bucketName: bucket.name, jurisdiction },
      rules: [{ id: 'keep', enabled: true, prefix: '', condition: { type: 'Age', maxAgeSeconds } }],
    },
    // Without it nothing holds what is in the bucket.
    { parent, protect: true },
  );
}
