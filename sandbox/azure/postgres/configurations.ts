/** `…/configurations`: the server's own parameters, as PostgreSQL tells them. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ArmContent, ArmResource, Context, Json, Kind } from '../kind';
import { isUp, sql } from './cluster';
import type { ServerRecord } from './record';
import { need } from './server';
import { apiVersions, refuse, serverType, word } from './server-rules';
import { exclusively, standing, unreachable, update } from './servers';
import { reserved, secureTransport, writeSettings } from './settings';

const type = `${serverType}/configurations`;

interface Setting {
  readonly name: string;
  readonly setting: string;
  readonly unit: string | null;
  readonly description: string;
  readonly context: string;
  readonly vartype: 'bool' | 'integer' | 'real' | 'enum' | 'string';
  readonly min: string | null;
  readonly max: string | null;
  readonly values: readonly string[] | null;
  readonly initial: string | null;
  readonly pending: boolean;
}

/** `reset_val` is what the server has; `setting` may be this session's own. */
const select = `SELECT name, reset_val AS setting, unit, short_desc AS description, context, vartype, min_val AS min, max_val AS max,
  enumvals AS values, boot_val AS initial, pending_restart AS pending FROM pg_settings`;

const transport = (record: ServerRecord): Setting => ({
  name: secureTransport,
  setting: record.parameters[secureTransport] ?? 'on',
  unit: null,
  description: 'Whether client connections to the server are required to be encrypted.',
  context: 'sighup',
  vartype: 'bool',
  min: null,
  max: null,
  values: null,
  initial: 'on',
  pending: false,
});

/** @throws ArmError 409 when the server does not run */
async function settings(record: ServerRecord, name?: string): Promise<Setting[]> {
  if (!isUp(record) || unreachable(record)) {
    throw refuse(
      'ServerIsStopped',
      `The server '${record.name}' is not running; its parameters can't be read or changed.`,
      409,
    );
  }
  if (name === secureTransport) return [transport(record)];
  const found = await sql<Setting>(record, `${select} WHERE $1::text IS NULL OR name = $1 ORDER BY name`, [
    name ?? null,
  ]);
  return name === undefined ? [...found, transport(record)] : found;
}

const dataTypes = {
  bool: 'Boolean',
  integer: 'Integer',
  real: 'Numeric',
  enum: 'Enumeration',
  string: 'String',
} as const;

const allowedOf = (setting: Setting): string =>
  ({
    bool: 'on,off',
    integer: `${setting.min}-${setting.max}`,
    real: `${setting.min}-${setting.max}`,
    enum: (setting.values ?? []).join(','),
    string: '.*',
  })[setting.vartype];

const readOnly = (setting: Setting) => setting.context === 'internal' || reserved(setting.name);

const propertiesOf = (record: ServerRecord, setting: Setting): Json => ({
  // A static parameter shows the value asked for; it holds from the next restart on.
  value: setting.pending ? (record.parameters[setting.name] ?? setting.setting) : setting.setting,
  description: setting.description,
  defaultValue: setting.initial ?? '',
  dataType: dataTypes[setting.vartype],
  allowedValues: allowedOf(setting),
  source: setting.name in record.parameters ? 'user-override' : 'system-default',
  isDynamicConfig: setting.context !== 'postmaster',
  isReadOnly: readOnly(setting),
  isConfigPendingRestart: setting.pending,
  ...(setting.unit ? { unit: setting.unit } : {}),
});

const resourceOf = (parent: string, record: ServerRecord, setting: Setting): ArmResource => ({
  id: `${parent}/configurations/${setting.name}`,
  name: setting.name,
  type,
  properties: propertiesOf(record, setting),
});

function fits(setting: Setting, value: string): boolean {
  if (setting.vartype === 'bool') return value === 'on' || value === 'off';
  if (setting.vartype === 'enum') return (setting.values ?? []).includes(value);
  if (setting.vartype === 'string') return !/[\r\n\0]/.test(value);
  const number = Number(value);
  const whole = setting.vartype === 'real' || Number.isInteger(number);
  return value.trim() !== '' && whole && number >= Number(setting.min) && number <= Number(setting.max);
}

/** @throws ArmError 400 */
async function check(record: ServerRecord, setting: Setting, value: string): Promise<void> {
  if (readOnly(setting)) throw refuse('ConfigurationReadOnly', `The parameter '${setting.name}' is read-only.`);
  const wrong = (why: string) =>
    refuse('InvalidParameterValue', `The value '${value}' of the parameter '${setting.name}' is not allowed: ${why}.`);
  if (!fits(setting, value))
    throw wrong(`allowed is ${allowedOf(setting)}${setting.unit ? ` (unit ${setting.unit})` : ''}`);
  if (setting.context !== 'user' && setting.context !== 'superuser') return;
  await sql(record, 'SELECT set_config($1, $2, true)', [setting.name, value]).catch((cause: unknown) => {
    throw wrong((cause as Error).message);
  });
}

async function put(ctx: Context, body: ArmContent): Promise<ArmContent> {
  const record = need(ctx);
  const [setting] = await settings(record, ctx.id.name);
  if (!setting) throw refuse('ConfigurationNotFound', `There is no parameter '${ctx.id.name}'.`, 404);
  const reset = word(body.properties['source']) === 'system-default';
  const value = body.properties['value'];
  if (!reset && typeof value !== 'string')
    throw refuse('InvalidParameterValue', "The value of 'properties.value' is missing.");
  if (!reset) await check(record, setting, value as string);
  await exclusively(record.name, () => assign(need(ctx), setting, reset ? undefined : (value as string)));
  return { properties: {} };
}

async function assign(record: ServerRecord, setting: Setting, value: string | undefined): Promise<void> {
  const { [setting.name]: _, ...others } = record.parameters;
  record.parameters = value === undefined ? others : { ...others, [setting.name]: value };
  update(record);
  writeSettings(record, standing(record));
  await sql(record, 'SELECT pg_reload_conf()');
  if (value !== undefined && setting.name !== secureTransport) await untilApplied(record, setting.name, value);
}

const applyMs = 5_000;

/** A reload is asked for, not awaited, by PostgreSQL. */
async function untilApplied(record: ServerRecord, name: string, value: string): Promise<void> {
  const end = Date.now() + applyMs;
  for (;;) {
    const [now] = await settings(record, name);
    if (now && (now.pending || now.setting === value || Number(now.setting) === Number(value))) return;
    if (Date.now() > end)
      throw new Error(
        `${record.name} did not take ${name} = ${value} within ${applyMs / 1000} s; it has ${now?.setting}`,
      );
    await delay(20);
  }
}

export const configurations: Kind = {
  type,
  apiVersions,
  name: /^[A-Za-z][A-Za-z0-9_.]*$/,
  location: 'none',
  holds: 'parent',
  model: { package: '@azure/arm-postgresql-flexible', mapper: 'ConfigurationForUpdate' },
  patchModel: { package: '@azure/arm-postgresql-flexible', mapper: 'ConfigurationForUpdate' },
  refused: ['DELETE'],
  put,
  async read(ctx, resource) {
    const record = need(ctx);
    const [setting] = await settings(record, resource.name);
    return setting ? { ...resource, properties: propertiesOf(record, setting) } : resource;
  },
  async find(ctx, name) {
    const record = need(ctx);
    const [setting] = await settings(record, name);
    return setting && resourceOf(ctx.id.parent as string, record, setting);
  },
  async list(ctx, parent) {
    const record = need(ctx);
    return (await settings(record)).map((setting) => resourceOf(parent.id, record, setting));
  },
};
