/** The plan's servers, by name: read, closed, opened, promoted. */
import type { Call, Databases } from '../../failover/ports';
import type { AdapterContext } from '../context';
import { serverTarget } from '../places';
import { admit, fence, readServer, tryWrite } from './admission';
import { exportDiverged } from './diverged';
import { caughtUp, promote } from './promotion';

export function createDatabases(context: AdapterContext): Databases {
  const target = (server: string) => serverTarget(context, server);
  return {
    read: (server, { signal }: Call) => readServer(target(server), signal),
    fence: (server, epoch, whole, { signal }) => fence(target(server), epoch, whole, signal),
    tryWrite: (server, epoch, { signal }) => tryWrite(target(server), epoch, signal),
    admit: (server, epoch, { signal }) => admit(target(server), epoch, signal),
    promote: (server, how, call) => promote(context, server, how, call),
    caughtUp: (server, position, { signal }) => caughtUp(target(server), position, signal),
    // Vaults and their clients are loaded by who needs them.
    importBackups: async (server, backups, call) =>
      (await import('../backup/import')).importBackups(context, server, backups, call),
    exportDiverged: (server, since, file, call) => exportDiverged(context, server, since, file, call),
  };
}
