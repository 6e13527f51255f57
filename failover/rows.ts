/** Plans as rows of a table: which steps, in which order, each with what it says and how long it may take. */
import type { Branch, Facts, Kind, PlannedStep, StepId } from './model';
import type { Switches } from './switches';
import type { Situation } from './situation';

/**
 * Groups of steps that go side by side; each group begins when the one before it has ended. Taken back is the last one first: the
 * lease is returned before anything that needs it.
 */
export interface Row {
  readonly order: readonly (readonly StepId[])[];
  /** Reads only, begins at once, must have ended before the names move. */
  readonly aside?: StepId;
}

const fences = [['fence-workloads', 'fence-database'], ['prove-fence']] as const;
const names = [
  ['verify-inside'],
  ['reroute-internal'],
  ['reroute'],
  ['verify-outside'],
  ['converge'],
  ['check-previews'],
  ['announce'],
] as const;
const take = [...fences, ['take-lease'], ['record-recovery-point']] as const;
const promote = [['promote'], ['open-database']] as const;
const ready = [['prepare', 'lookup-names']] as const;
const reprotect = [['export-diverged'], ['reprotect']] as const;

const share: Row = { order: [...ready, ...take, ['open-database'], ['bind'], ...names] };
const follow: Row = { order: [...ready, ...take, ...promote, ...names] };
const home = ({ order }: Row): Row => ({ order: [...reprotect, ...order] });

/** What is not in the table can't be asked for. Which steps fall away in a given world is with the steps: `Template.wanted`. */
export const rows: Readonly<Record<Exclude<Kind, 'drill'>, Readonly<Partial<Record<Branch, Row>>>>> = {
  switchover: { '1a': share, '1c': follow },
  failback: { '1a': home(share), '1c': home(follow) },
  failover: {
    '1a': { aside: 'lookup-names', order: [...take, ['open-database'], ['bind'], ...names] },
    '1b': {
      aside: 'lookup-names',
      order: [
        ...fences,
        ['restore', 'take-lease'],
        ['import-backup'],
        ['record-recovery-point'],
        ['open-database'],
        ['bind'],
        ...names,
      ],
    },
    '1c': { aside: 'lookup-names', order: [...take, ...promote, ['bind'], ...names] },
  },
};

/** What a row's steps are made with. */
export interface Making {
  readonly situation: Situation;
  readonly branch: Branch;
  readonly switches: Switches;
  readonly promotion: 'planned' | 'forced';
  readonly lossSeconds: number | 'unknown';
  readonly fenced: boolean;
  readonly leased: boolean;
  /** `prepare` starts what will serve; else `bind` does, when the database is open. */
  readonly prepares: boolean;
  /** What will serve runs already. */
  readonly stands: boolean;
}

export interface Template {
  readonly limitSeconds: number;
  readonly title: (making: Making) => string;
  /** @default - it reads only */
  readonly touches?: (making: Making) => readonly string[];
  /** @default - it needs none */
  readonly args?: (making: Making) => Facts;
  /** Whether there is anything for it to do. @default - always */
  readonly wanted?: (making: Making) => boolean;
}

/** @returns a row's steps, each with those that it waits for: what falls away leaves no gap. */
export function stepsOf(row: Row, templates: Readonly<Record<StepId, Template>>, making: Making): PlannedStep[] {
  const wanted = (id: StepId) => templates[id].wanted?.(making) ?? true;
  const step = (id: StepId, after: readonly StepId[]): PlannedStep => ({
    id,
    title: templates[id].title(making),
    after,
    limitSeconds: templates[id].limitSeconds,
    touches: templates[id].touches?.(making) ?? [],
    args: templates[id].args?.(making) ?? {},
  });
  const steps: PlannedStep[] = row.aside ? [step(row.aside, [])] : [];
  let before: readonly StepId[] = [];
  for (const group of row.order) {
    const ids = group.filter(wanted);
    if (ids.length === 0) continue;
    for (const id of ids) steps.push(step(id, id === 'reroute' && row.aside ? [...before, row.aside] : before));
    before = ids;
  }
  const last = steps.find(({ id }) => id === 'promote') ?? steps.find(({ id }) => id === 'open-database');
  return steps.map((one) => (one === last ? { ...one, pointOfNoReturn: true } : one));
}
