/** What each step is called, touches and is given. */
import type { Switch } from '../config/failover';
import type { Facts, StepId } from './model';
import { restoreOf, type Imports } from './restores';
import type { Making, Template } from './rows';

/** A switch is plain data; its type only allows keys to be absent, which JSON leaves out. */
const json = (values: Switch): Facts => JSON.parse(JSON.stringify(values)) as Facts;

const current = ({ situation }: Making) => situation.current.plan.name;
const zone = ({ situation }: Making) => situation.observation.configuration.zone;
const target = (making: Making): Facts => ({ site: making.situation.to, server: making.switches.server });
const file = (making: Making) =>
  `diverged-${making.situation.previous?.plan.name ?? ''}-${new Date(making.situation.now).toISOString().replaceAll(/[:.]/g, '')}.jsonl`;
const previous = ({ situation }: Making) => situation.previous?.plan.name ?? '';

function imports({ branch, situation }: Making): Imports | undefined {
  const restore = branch === '1b' ? restoreOf(situation) : undefined;
  return restore?.way === 'import' ? restore.imports : undefined;
}
const importNames = (making: Making) =>
  Object.entries(imports(making) ?? {})
    .map(([dataSet, { id }]) => `${dataSet} ${id}`)
    .join(', ');

const movesDatabase = ({ switches, situation }: Making): boolean => switches.server !== situation.current.plan.name;

export const templates: Readonly<Record<StepId, Template>> = {
  prepare: {
    limitSeconds: 1_800,
    title: ({ situation }) => `start the applications at ${situation.to}, without the right to write`,
    touches: ({ situation }) => ['stack failover', `workloads and identity provider at ${situation.to}`],
    args: ({ switches, situation, stands }) => ({
      ...{ site: situation.to, epoch: situation.epoch, stands: stands && situation.values.unreachable === 'none' },
      ...{ values: json(switches.prepare), undo: json(switches.unprepared) },
    }),
    wanted: ({ prepares }) => prepares,
  },
  'lookup-names': { limitSeconds: 60, title: (making) => `find the records of ${zone(making)}` },
  reprotect: {
    limitSeconds: 14_400,
    title: (making) => `build a replica of ${current(making)} at ${making.situation.to}`,
    touches: ({ switches, situation }) => ['stack failover', `${switches.server} at ${situation.to}`],
    args: ({ switches }) => ({ values: json(switches.reprotect ?? switches.prepare), server: switches.server }),
    wanted: ({ switches }) => switches.reprotect !== undefined,
  },
  'export-diverged': {
    limitSeconds: 1_800,
    title: (making) => `export rows that only ${previous(making)} has`,
    touches: (making) => [`file ${file(making)}`],
    args: (making) => ({ server: previous(making), since: current(making), file: file(making) }),
    wanted: ({ situation, branch }) => branch === '1c' && situation.previous?.reading?.role === 'primary',
  },
  restore: {
    limitSeconds: 14_400,
    title: (making) =>
      imports(making)
        ? `make an empty server at ${making.situation.to} for the backups of ${current(making)}`
        : `restore the last backup of ${current(making)} at ${making.situation.to}`,
    touches: ({ switches, situation }) => ['stack failover', `${switches.server} at ${situation.to}`],
    args: ({ switches }) => ({ values: json(switches.made), undo: json(switches.unmade), server: switches.server }),
  },
  'import-backup': {
    limitSeconds: 14_400,
    title: (making) => `import ${importNames(making)} into ${making.switches.server}, and compare what came`,
    touches: ({ switches }) => [switches.server],
    args: (making) => ({
      server: making.switches.server,
      backups: Object.fromEntries(
        Object.entries(imports(making) ?? {}).map(([dataSet, { id, vault }]) => [dataSet, { id, vault }]),
      ),
    }),
    wanted: (making) => imports(making) !== undefined,
  },
  'fence-workloads': {
    limitSeconds: 90,
    title: ({ situation }) => `stop the applications at ${situation.from}`,
    touches: ({ situation }) => [`workloads at ${situation.from}`],
    args: ({ situation }) => ({ site: situation.from, instances: situation.observation.configuration.replicas }),
    wanted: ({ situation }) => situation.clusterAnswers,
  },
  'fence-database': {
    limitSeconds: 30,
    title: (making) => `take the right to write to ${current(making)} from epoch ${making.situation.values.epoch}`,
    touches: (making) => [current(making)],
    args: (making) => ({
      server: current(making),
      epoch: making.situation.values.epoch,
      whole: movesDatabase(making),
    }),
    wanted: ({ fenced }) => fenced,
  },
  'prove-fence': {
    limitSeconds: 30,
    title: (making) => `prove by a write that ${current(making)} refuses epoch ${making.situation.values.epoch}`,
    args: (making) => ({
      server: current(making),
      epoch: making.situation.values.epoch,
      whole: movesDatabase(making),
    }),
    wanted: ({ fenced }) => fenced,
  },
  'take-lease': {
    limitSeconds: 90,
    title: ({ situation }) => `take the lease for ${situation.to}, epoch ${situation.epoch}`,
    touches: () => ['the writer lease'],
    args: ({ situation }) => ({
      ...{ site: situation.to, epoch: situation.epoch },
      ...{ from: situation.from, previous: situation.values.epoch },
    }),
    wanted: ({ leased }) => leased,
  },
  'record-recovery-point': {
    limitSeconds: 120,
    title: (making) =>
      making.promotion === 'planned' && movesDatabase(making)
        ? `wait until ${making.switches.server} has every row, and record the recovery point`
        : 'record the recovery point',
    args: (making) => ({
      server: making.switches.server,
      ...(making.fenced ? { source: current(making) } : {}),
      how: { '1a': 'shared', '1b': 'restored', '1c': making.promotion }[making.branch],
      lossSeconds: making.lossSeconds,
    }),
  },
  promote: {
    limitSeconds: 300,
    title: ({ switches, promotion }) =>
      promotion === 'planned' ? `promote ${switches.server}` : `promote ${switches.server} with what it has`,
    touches: ({ switches }) => [switches.server],
    args: ({ switches, promotion }) => ({ server: switches.server, how: promotion }),
  },
  'open-database': {
    limitSeconds: 90,
    title: ({ switches, situation }) => `give epoch ${situation.epoch} the right to write to ${switches.server}`,
    touches: ({ switches }) => [switches.server],
    args: ({ switches, situation }) => ({ server: switches.server, epoch: situation.epoch }),
  },
  bind: {
    limitSeconds: 1_800,
    title: ({ situation, switches }) => `start the applications at ${situation.to} on ${switches.server}`,
    touches: ({ situation }) => ['stack failover', `workloads and identity provider at ${situation.to}`],
    args: (making) => ({
      ...target(making),
      ...{ values: json(making.switches.bound), epoch: making.situation.epoch, stands: making.stands },
    }),
    wanted: ({ situation, prepares }) => !situation.planned || !prepares,
  },
  'verify-inside': {
    limitSeconds: 120,
    title: ({ situation }) => `verify ${situation.to} from inside: release, write, login, every host`,
    args: (making) => ({ ...target(making), epoch: making.situation.epoch }),
  },
  'reroute-internal': {
    limitSeconds: 90,
    title: ({ situation }) => `lead the internal zones to ${situation.to}`,
    touches: () => ['internal DNS zones'],
    args: target,
  },
  reroute: {
    limitSeconds: 90,
    title: (making) => `lead the public hosts of ${zone(making)} to ${making.situation.to}`,
    touches: (making) => [`public DNS records of ${zone(making)}`],
    args: target,
  },
  'verify-outside': {
    limitSeconds: 180,
    title: () => 'verify from outside: DNS, TLS, pages, login, a write read back',
    args: (making) => ({ ...target(making), epoch: making.situation.epoch }),
  },
  converge: {
    limitSeconds: 3_600,
    title: () => 'let Pulumi converge on the new roles',
    touches: () => ['stack failover'],
    args: ({ switches }) => ({ values: json(switches.after) }),
  },
  'check-previews': { limitSeconds: 900, title: () => 'see that the three stacks preview clean' },
  announce: { limitSeconds: 60, title: () => 'announce the end', touches: () => ['announcement'] },
};
