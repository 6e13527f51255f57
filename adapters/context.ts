/** What every adapter is made with: the plan's world, read once at the start of a command. */
import type { FailoverConfig } from '../config/failover';
import type { Landscape } from '../config/landscape';

export interface AdapterContext {
  /** As the configuration file of the failover stack has it now; read anew after each change. */
  readonly configuration: () => FailoverConfig;
  readonly landscape: Landscape;
  /** Variables of the process: endpoints and credentials. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}
