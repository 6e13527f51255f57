/** What the platform is, wherever it runs: shared by all that it is made of. */
import type * as pulumi from '@pulumi/pulumi';
import type { Hosts } from '../../config/fields';

export interface Platform {
  /** Namespace, and ingress class, of the platform. */
  readonly platform: string;
  readonly site: string;
  readonly hosts: Hosts;
  /** Image of the release, pinned by digest. */
  readonly image: string;
  /** `VERSION@sha256:DIGEST`, as the applications show it. */
  readonly release: string;
  /** Fencing token: grows at each change of role, and is in every pod. */
  readonly epoch: number;
  readonly database: DatabaseBinding;
  readonly realm: string;
  /** Host name that the identity provider in use answers to. */
  readonly identityFqdn: pulumi.Input<string>;
}

export interface DatabaseBinding {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: pulumi.Input<string>;
}
