/** What is seen, with the age of every reading. What is unknown or old is never shown as good. */
import { apps, type App } from '../../config/fields';
import { longestArchiveLagSeconds, staleAfterSeconds } from '../../failover/readings';
import type {
  AppReading,
  BackupReading,
  Instant,
  KeptReading,
  LeaseReading,
  Observation,
  Reading,
  ServerReading,
  SiteObservation,
} from '../../failover/model';
import { accepts } from '../../failover/situation';
import { seconds, type Colour, type Paint } from '../output';

type Judged = readonly [verdict: 'good' | 'bad' | 'plain', text: string];

const marks: Readonly<Record<Judged[0] | 'unknown', readonly [string, Colour]>> = {
  good: ['ok', 'green'],
  plain: ['--', 'dim'],
  bad: ['!!', 'red'],
  unknown: ['??', 'yellow'],
};
const label = 32;

export function marked(verdict: keyof typeof marks, name: string, text: string, paint: Paint): string {
  const [mark, colour] = marks[verdict];
  return `  ${paint(colour, mark)} ${name.padEnd(label)} ${text}`;
}

/** @returns a line; a reading that is missing or old says so, whatever it was. */
function line<T>(
  name: string,
  reading: Reading<T> | undefined,
  now: Instant,
  paint: Paint,
  judge: (value: T) => Judged,
): string {
  const age = reading ? Math.max(0, (now - reading.at) / 1000) : undefined;
  const [verdict, text]: readonly [Judged[0] | 'unknown', string] = !reading
    ? ['unknown', 'unknown: it was not looked at']
    : 'unknown' in reading
      ? ['unknown', `unknown: ${reading.unknown}`]
      : age! > staleAfterSeconds
        ? ['unknown', `too old to be believed: ${judge(reading.value)[1]}`]
        : judge(reading.value);
  const when = age === undefined ? '' : paint('dim', ` (${seconds(age)} ago)`);
  return marked(verdict, name, `${text}${when}`, paint);
}

function serverText(server: ServerReading, epoch: number, inUse: boolean): Judged {
  const { role, writable, token, position, streaming, lagSeconds, sessions } = server;
  const open = token ? `, epoch ${token.epoch} ${token.open ? 'may write' : 'is closed'}` : ', no epoch admitted';
  const lag =
    role === 'replica'
      ? `, ${streaming ? 'streams' : 'does not stream'}, lag ${lagSeconds === undefined ? 'unknown' : seconds(lagSeconds)}`
      : '';
  const [archived, archive] = archiveText(server.archive);
  const text = `${role}${writable ? ', writable' : ', read-only'}${open}${lag}, at ${position}${archive}, ${sessions} sessions`;
  const serves = role === 'primary' && writable && archived && (!token || (token.open && token.epoch === epoch));
  if (inUse) return [serves ? 'good' : 'bad', text];
  if (role === 'replica') return [streaming ? 'good' : 'bad', text];
  // Of whatever epoch: beside the server in use it is the second one that takes writes.
  return [accepts(server) ? 'bad' : 'plain', text];
}

/** @returns whether a restore from it would lose no more than is promised; one that nobody tells of is not judged. */
function archiveText(archive: ServerReading['archive']): readonly [well: boolean, text: string] {
  if (!archive) return [true, ''];
  const { lagSeconds = Infinity, failing, pendingBytes } = archive;
  const behind = lagSeconds === Infinity ? 'holds nothing' : `${seconds(lagSeconds)} behind`;
  const size = pendingBytes > 0 ? ` by ${(pendingBytes / 2 ** 20).toFixed(1)} MB` : '';
  return [
    !failing && lagSeconds <= longestArchiveLagSeconds,
    `, archive of the log ${behind}${size}${failing ? ', and the last attempt failed' : ''}`,
  ];
}

/** @returns what an application lacks; the active site needs every one of them, the other one those that it was given. */
function lackOf(app: App, reading: AppReading | undefined, active: boolean): string | undefined {
  if (!reading) return active ? `${app} is not there` : undefined;
  const { ready, wanted } = reading;
  if (ready < wanted) return `${app} ${ready} of ${wanted}`;
  return active && wanted === 0 ? `${app} is scaled to 0` : undefined;
}

function appsText(readings: readonly AppReading[], active: boolean): Judged {
  const lacks = apps.flatMap(
    (name) =>
      lackOf(
        name,
        readings.find(({ app }) => app === name),
        active,
      ) ?? [],
  );
  const running = readings.reduce((sum, { ready }) => sum + ready, 0);
  const releases = [...new Set(readings.map(({ release }) => release.split('@')[0]))].join(', ');
  const text = running === 0 ? 'nothing runs' : `${running} instances ready, release ${releases}`;
  return [lacks.length > 0 ? 'bad' : active ? 'good' : 'plain', [text, ...lacks].join('; ')];
}

function frontText(statuses: Readonly<Record<string, number>>, active: boolean): Judged {
  const wrong = Object.entries(statuses).filter(([, status]) => status === 0 || status >= 400);
  const text =
    wrong.length > 0
      ? wrong.map(([host, status]) => `${host} ${status || 'does not answer'}`).join(', ')
      : `${Object.keys(statuses).length} hosts answer`;
  return [!active ? 'plain' : wrong.length === 0 ? 'good' : 'bad', text];
}

function siteLines(site: string, seen: SiteObservation, active: boolean, now: Instant, paint: Paint): string[] {
  return [
    paint('bold', `${site}${active ? ' (active)' : ' (standby)'}`),
    line('workloads', seen.cluster, now, paint, ({ apps }) => appsText(apps, active)),
    line('identity provider', seen.identity, now, paint, ({ issuer, keys }) => [
      active ? 'good' : 'plain',
      `${issuer}, ${keys.length} keys`,
    ]),
    line('own ingress', seen.front, now, paint, (statuses) => frontText(statuses, active)),
    line('agent', seen.agent, now, paint, ({ state, epoch, why }) => [
      active ? (state === 'holding' ? 'good' : 'bad') : state === 'blind' ? 'bad' : 'plain',
      `${state}, epoch ${epoch}${why ? `: ${why}` : ''}`,
    ]),
  ];
}

function leaseText(lease: LeaseReading, active: string): Judged {
  if (lease.mode === 'off') return ['bad', 'off: a site that is cut off goes on writing until somebody reaches it'];
  const { holder, epoch, released, ageSeconds } = lease;
  const age = ageSeconds === undefined ? 'never renewed' : `renewed ${seconds(ageSeconds)} ago`;
  const text = holder ? `${holder} in epoch ${epoch ?? 'none'}, ${released ? 'released' : age}` : 'nobody has it';
  return [holder === active && !released && (ageSeconds ?? Infinity) < 10 ? 'good' : 'bad', text];
}

/** What was proved of backups that Azure keeps no longer says nothing of those that it has. */
const provedMs = 35 * 86_400_000;

const backupText = ({ recoveryPoint, verifiedAt }: BackupReading, now: Instant): Judged => [
  verifiedAt !== undefined && now - verifiedAt <= provedMs ? 'good' : 'bad',
  `back to ${seconds((now - recoveryPoint) / 1000)} ago; ${verifiedAt === undefined ? 'this machine knows of no drill that restored it' : `a drill restored it ${new Date(verifiedAt).toISOString()}`}`,
];

/** Newest kept backup that a restore check found sound; what was passed over is not well, whatever is behind it. */
function keptText({ newest, skipped }: KeptReading, sealed: string | undefined, now: Instant): Judged {
  const over = Object.entries(skipped).filter(([, count]) => count > 0);
  const counts = over.map(([why, count]) => `${count} ${why === 'NeverVerified' ? 'never verified' : why}`).join(', ');
  const passed = over.length > 0 ? `; newer ones passed over: ${counts}` : '';
  if (!newest) return ['bad', `none ever passed a restore check${passed}`];
  const { id, recoveryPoint, verifiedAt, vault } = newest;
  const when = `back to ${seconds((now - recoveryPoint) / 1000)} ago, verified ${new Date(verifiedAt).toISOString()}`;
  const defects = over.some(([why]) => why !== 'NeverVerified');
  const shut = sealed === undefined ? '' : `; can't be opened here: ${sealed}`;
  return [defects || sealed !== undefined ? 'bad' : 'good', `${when} (${id} in ${vault})${passed}${shut}`];
}

function vaultLines(vault: Observation['vault'], now: Instant, paint: Paint): string[] {
  if (!vault) return [];
  if ('unknown' in vault) return [line('kept backups', vault, now, paint, () => ['bad', ''])];
  const { dataSets, sealed } = vault.value;
  return Object.entries(dataSets).map(([dataSet, kept]) =>
    line(`kept backup of ${dataSet}`, { at: vault.at, value: kept }, now, paint, (one) => keptText(one, sealed, now)),
  );
}

function nameLines({ names, records, ingress, configuration }: Observation, now: Instant, paint: Paint): string[] {
  const { activeSite } = configuration.values;
  const siteOf = (address: string) => Object.entries(ingress).find(([, own]) => own === address)?.[0] ?? address;
  return [
    paint('bold', 'names'),
    line('records at the vendor', records, now, paint, (contents) => {
      const where = [...new Set(Object.values(contents).map(siteOf))];
      return [
        where.length === 1 && where[0] === activeSite ? 'good' : 'bad',
        `lead to ${where.join(', ') || 'nothing'}`,
      ];
    }),
    ...Object.entries(names).map(([resolver, reading]) =>
      line(`resolver ${resolver}`, reading, now, paint, (hosts) => {
        const silent = Object.entries(hosts).filter(([, addresses]) => addresses.length === 0);
        const count = Object.keys(hosts).length;
        return [silent.length === 0 ? 'good' : 'bad', `${count - silent.length} of ${count} hosts have an answer`];
      }),
    ),
  ];
}

/** @param inUse - server that the applications write to. */
export function statusLines(seen: Observation, inUse: string | undefined, now: Instant, paint: Paint): string[] {
  const { configuration, sites, servers, backups, vault, lease, apis, stacks } = seen;
  const { values, release, zone } = configuration;
  const stage = values.stage === undefined || values.stage === 'complete' ? '' : `, stage ${values.stage}`;
  const lost = values.unreachable === 'none' ? '' : `, unreachable: ${values.unreachable}`;
  const head = `${zone}: active site ${values.activeSite}, epoch ${values.epoch}, release ${release.split('@')[0]}${stage}${lost}`;
  return [
    paint('bold', head),
    line('writer lease', lease, now, paint, (value) => leaseText(value, values.activeSite)),
    ...(['prod', 'intg'] as const).flatMap((site) =>
      siteLines(site, sites[site], site === values.activeSite, now, paint),
    ),
    paint('bold', 'databases'),
    ...Object.entries(servers).map(([name, reading]) =>
      line(`${name}${name === inUse ? ' *' : ''}`, reading, now, paint, (server) =>
        serverText(server, values.epoch, name === inUse),
      ),
    ),
    ...Object.entries(backups).map(([name, reading]) =>
      line(`backup of ${name}`, reading, now, paint, (backup) => backupText(backup, now)),
    ),
    ...vaultLines(vault, now, paint),
    ...nameLines(seen, now, paint),
    paint('bold', 'control planes and state'),
    ...Object.entries(apis).map(([name, reading]) =>
      line(`API of ${name}`, reading, now, paint, ({ latencyMs }) => ['good', `${Math.round(latencyMs)} ms`]),
    ),
    ...Object.entries(stacks).map(([name, reading]) =>
      line(`stack ${name}`, reading, now, paint, ({ serial, pending }) => [
        pending ? 'bad' : 'good',
        `${serial ? `updated ${new Date(serial).toISOString()}` : 'never updated'}${pending ? ', an update is under way or was cut off' : ''}`,
      ]),
    ),
  ];
}
