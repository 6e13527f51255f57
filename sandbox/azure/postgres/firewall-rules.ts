/** `…/firewallRules`: who is not named by one is refused by PostgreSQL itself. */
import type { ArmContent, ArmResource, Context, Kind } from '../kind';
import { isUp, sql } from './cluster';
import { isOrdered } from './network';
import type { IpRange } from './record';
import { isReady, need } from './server';
import { apiVersions, part, refuse, serverType, word } from './server-rules';
import { exclusively, unreachable, update } from './servers';
import { writeHba } from './settings';

const type = `${serverType}/firewallRules`;

const rangeOf = (content: ArmContent): IpRange => ({
  start: String(content.properties['startIpAddress']),
  end: String(content.properties['endIpAddress']),
});

/** Lets in what the stored rules and `added` name, without the rule `ctx.id`. */
async function apply(ctx: Context, added: readonly IpRange[]): Promise<void> {
  const name = need(ctx).name;
  await exclusively(name, async () => {
    const record = need(ctx);
    const others = ctx.list(type, ctx.id.parent).filter((rule) => rule.id.toLowerCase() !== ctx.id.key);
    record.ranges = [...others.map(rangeOf), ...added];
    update(record);
    writeHba(record);
    if (isUp(record) && !unreachable(record)) await sql(record, 'SELECT pg_reload_conf()');
  });
}

function checkAccess(server: ArmResource): void {
  if (word(part(server.properties, 'network')['publicNetworkAccess']) === 'enabled') return;
  throw refuse(
    'FirewallRulesNotAllowed',
    `'${server.name}' has no public network access; firewall rules have no meaning there.`,
  );
}

export const firewallRules: Kind = {
  type,
  apiVersions,
  name: /^[A-Za-z0-9_-]{1,128}$/,
  location: 'none',
  holds: 'parent',
  model: { package: '@azure/arm-postgresql-flexible', mapper: 'FirewallRule' },
  async put(ctx, body) {
    checkAccess(ctx.need(ctx.id.parent as string));
    const range = rangeOf(body);
    if (!isOrdered(range)) {
      throw refuse(
        'InvalidParameterValue',
        `The end IP address ${range.end} is before the start IP address ${range.start}.`,
      );
    }
    await apply(ctx, [range]);
    return body;
  },
  remove: async (ctx) => {
    if (isReady(ctx)) await apply(ctx, []);
  },
};
