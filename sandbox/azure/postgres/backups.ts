/** `…/backups`: base backups, those the service takes by itself and those that a person asks for. */
import * as fs from 'node:fs';
import type { ArmResource, Kind } from '../kind';
import { localStore, takeBase } from './backup';
import { isReady, need } from './server';
import { apiVersions, refuse, serverType } from './server-rules';
import { unreachable } from './servers';
import type { BaseBackup } from './store';

const type = `${serverType}/backups`;

const propertiesOf = (base: BaseBackup) => ({
  backupType: base.type,
  completedTime: base.completedAt,
  source: base.type === 'Full' ? 'Automatic' : 'Manual',
});

const resourceOf = (parent: string, base: BaseBackup): ArmResource => ({
  id: `${parent}/backups/${base.id}`,
  name: base.id,
  type,
  properties: propertiesOf(base),
});

export const backups: Kind = {
  type,
  apiVersions,
  name: /^[A-Za-z0-9_-]{1,128}$/,
  location: 'none',
  async put(ctx) {
    const record = need(ctx);
    const known = localStore(record)
      .bases()
      .find((base) => base.id === ctx.id.name);
    if (known?.type === 'Full') throw refuse('BackupAlreadyExists', `'${known.id}' is an automatic backup.`, 409);
    if (record.role === 'replica' || record.desired === 'stopped' || unreachable(record)) {
      throw refuse(
        'OperationNotAllowed',
        `'${record.name}' can't be backed up: it is ${record.role === 'replica' ? 'a replica' : 'not running'}.`,
        409,
      );
    }
    const base = known ?? (await takeBase(record, 'Customer On-Demand', ctx.id.name));
    return { properties: propertiesOf(base) };
  },
  async remove(ctx) {
    if (!isReady(ctx)) return;
    const folder = localStore(need(ctx)).baseFolder(ctx.id.name);
    fs.rmSync(`${folder}.json`, { force: true });
    await fs.promises.rm(folder, { recursive: true, force: true });
  },
  find(ctx, name) {
    const base = localStore(need(ctx))
      .bases()
      .find((each) => each.id === name);
    return base && resourceOf(ctx.id.parent as string, base);
  },
  list: (ctx, parent) =>
    localStore(need(ctx))
      .bases()
      .map((base) => resourceOf(parent.id, base)),
};
