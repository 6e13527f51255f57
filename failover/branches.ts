/** What each branch would lose and take, and which is taken: the least loss, then the least time. Pure. */
import { StandbyError } from './errors';
import { branches, choices, type Branch, type BranchOption } from './model';
import { fresh, whyUnknown } from './readings';
import { restoreOf, serverSeconds } from './restores';
import { accepts, complete, fenceable, standsPrepared, type Situation } from './situation';

/** Seconds until the outside is served, as targets: `planned` from the fence on, the others from the command on. */
const takes = { planned: 5, prepared: 15, '1c': 15, '1a': 20, '1b': serverSeconds } as const;

const seconds = (value: number): string => `${Math.round(value * 10) / 10} s`;

type Verdict = Pick<BranchOption, 'impossible' | 'lossSeconds' | 'lossWhy' | 'way'> & {
  readonly takesSeconds?: number;
};
const impossible = (why: string): Verdict => ({ impossible: why, lossSeconds: 'unknown', lossWhy: 'not possible' });
const nothing = (lossWhy: string): Verdict => ({ lossSeconds: 0, lossWhy });

const silent = (situation: Situation, server: string): string =>
  `${server} ${whyUnknown(situation.observation.servers[server], situation.now)}`;

/** Another server than the one in use takes writes: a branch that does not work on it would leave it open. */
function openElsewhere({ observation, servers, current, now }: Situation): string | undefined {
  const other = servers.find(
    ({ name }) => name !== current.plan.name && accepts(fresh(observation.servers[name], now)),
  );
  return other && `${other.name} was promoted behind the switch, and takes writes`;
}

function share(situation: Situation): Verdict {
  const { current, to, observation, now } = situation;
  const { name, site } = current.plan;
  if (to === 'prod' && site === 'intg') return impossible(`PROD never works on a server at INTG, and ${name} is there`);
  if (!current.reading) return impossible(silent(situation, name));
  if (current.reading.role !== 'primary') return impossible(`${name} says that it is a replica`);
  const other = openElsewhere(situation);
  if (other) return impossible(other);
  if (!fresh(observation.sites[site].identity, now)) {
    return impossible(`the identity provider at ${site} ${whyUnknown(observation.sites[site].identity, now)}`);
  }
  return nothing(`${name} stays the database`);
}

function follow(situation: Situation): Verdict {
  const { current, replica, to, wish, values } = situation;
  const source = current.plan.name;
  if (current.plan.site === to) return impossible(`${source}, which is worked on, is at ${to} already`);
  if (!replica || (wish.kind === 'failback' && replica.reading?.streaming !== true)) {
    const taken = !replica && values.recoveries.some(({ site, epoch }) => site === to && epoch === values.epoch);
    if (wish.kind !== 'failback') return impossible(`no replica at ${to} follows ${source}`);
    if (replica?.reading?.role === 'primary') return impossible(`${replica.plan.name} has left ${source}`);
    if (taken)
      return impossible(`epoch ${values.epoch} has made a server at ${to} already, which does not follow ${source}`);
    return nothing(`a replica of ${source} is made at ${to} first, and has every row before it is promoted`);
  }
  const { name } = replica.plan;
  if (!replica.reading) return impossible(silent(situation, name));
  const { role, streaming, mayLackSeconds } = replica.reading;
  if (role === 'primary') return followed(situation, name);
  if (complete(situation)) return nothing(`${source} is fenced, then ${name} replays the rest`);
  if (situation.planned) {
    return impossible(`${name} does not stream from ${source}${streaming === undefined ? ', as far as it tells' : ''}`);
  }
  // Its source can't be asked what it committed last, so never 0, however level the replica is with what it received.
  return mayLackSeconds === undefined
    ? { lossSeconds: 'unknown', lossWhy: `${name} can't tell how far it is behind` }
    : {
        lossSeconds: mayLackSeconds,
        lossWhy: `the last that ${name} has of ${source} is ${seconds(mayLackSeconds)} old, at most what was committed since is lost`,
      };
}

/** The replica was promoted, and not by the switch. */
const followed = (situation: Situation, name: string): Verdict =>
  situation.current.reading
    ? impossible(
        `${name} was promoted behind the switch while ${situation.current.plan.name} answers: which rows each has alone can't be told`,
      )
    : { lossSeconds: 'unknown', lossWhy: `${name} was promoted already, nobody can tell what it had not received` };

function restore(situation: Situation): Verdict {
  const { current, planned, to } = situation;
  const { name, site } = current.plan;
  if (planned) return impossible('a planned change of role loses nothing, a restore does');
  const other = openElsewhere(situation);
  if (other) return impossible(other);
  if (site === to) return impossible(`${name} is at ${to} itself: a copy in the same region does not outlive it`);
  return restoreOf(situation);
}

const verdicts = { '1a': share, '1b': restore, '1c': follow } as const satisfies Record<
  Branch,
  (situation: Situation) => Verdict
>;

function takesSeconds(situation: Situation, branch: Branch): number {
  // With a replica at hand, what is prepared beforehand works on that one.
  if (situation.planned) return branch === '1a' && situation.replica ? takes['1a'] : takes.planned;
  const server = { '1a': situation.current.plan.name, '1b': undefined, '1c': situation.replica?.plan.name }[branch];
  return server && standsPrepared(situation, server) ? takes.prepared : takes[branch];
}

export const assessSituation = (situation: Situation): BranchOption[] =>
  branches.map((branch) => {
    const { impossible: why, lossSeconds, lossWhy, way, takesSeconds: takesItself } = verdicts[branch](situation);
    return {
      ...{ branch, ...(way ? { way } : {}), ...(why === undefined ? {} : { impossible: why }), lossSeconds, lossWhy },
      takesSeconds: takesItself ?? takesSeconds(situation, branch),
    };
  });

const weight = ({ lossSeconds }: BranchOption): number => (lossSeconds === 'unknown' ? Infinity : lossSeconds);

/**
 * @returns the branch that is taken, and why.
 * @throws StandbyError BranchImpossible when the one that was asked for can't be; NoBranch when none can.
 */
export function choose(situation: Situation, options: readonly BranchOption[]): { option: BranchOption; why: string } {
  const { database } = situation.wish;
  const asked = options.find(({ branch }) => database && choices[database] === branch);
  if (asked?.impossible) {
    throw new StandbyError(
      'BranchImpossible',
      `--database ${database} (branch ${asked.branch}) is not possible: ${asked.impossible}; leave --database out to see what is`,
    );
  }
  if (asked) return { option: asked, why: `--database ${database} asks for it` };
  const [best, next] = options
    .filter((option) => option.impossible === undefined)
    .sort(
      (one, other) =>
        (weight(one) === weight(other) ? 0 : weight(one) - weight(other)) || one.takesSeconds - other.takesSeconds,
    );
  if (!best) {
    const reasons = options.map(({ branch, impossible: why }) => `${branch}: ${why}`).join('; ');
    throw new StandbyError('NoBranch', `there is nothing to take over with (${reasons})`, {
      exit: situation.planned ? 'refused' : 'person',
    });
  }
  if (!next) return { option: best, why: 'the only one that is possible' };
  return {
    option: best,
    why:
      weight(best) < weight(next)
        ? `it loses less than ${next.branch}`
        : `it takes less time than ${next.branch}, and loses no more`,
  };
}

/** How the recovery point comes about. */
export type Promotion = 'planned' | 'forced';
export const promotionOf = (situation: Situation): Promotion =>
  situation.planned || (fenceable(situation) && complete(situation)) ? 'planned' : 'forced';
