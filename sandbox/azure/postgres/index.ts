/** Azure Database for PostgreSQL, flexible server. */
import type { Kind } from '../kind';
import { backups } from './backups';
import { configurations } from './configurations';
import { databases } from './databases';
import { firewallRules } from './firewall-rules';
import { replicas, server } from './server';
import { apiVersions, refuse, serverType } from './server-rules';

/** Known, so that a plan that relies on one is told so. */
const virtualEndpoints: Kind = {
  type: `${serverType}/virtualEndpoints`,
  apiVersions,
  location: 'none',
  put() {
    throw refuse(
      'FeatureNotSupported',
      "This sandbox has no virtual endpoints: promote with promoteMode 'Standalone' instead of a switchover.",
    );
  },
};

export const kinds: readonly Kind[] = [
  server,
  firewallRules,
  databases,
  configurations,
  backups,
  replicas,
  virtualEndpoints,
];
