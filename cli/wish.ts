/** From what was typed to what the engine is asked for. */
import { otherSite, type Site } from '../config/fields';
import type { Switch } from '../config/failover';
import { StandbyError } from '../failover/errors';
import { choices, type Choice, type Plan, type Wish } from '../failover/model';
import type { WishOptions } from './options';

const usage = (message: string) => new StandbyError('UsageWrong', message, { exit: 'usage' });

/** Where the business goes: home for a failback, else to the site that it is not on. */
function target(kind: Wish['kind'], { from, to }: WishOptions, active: Site): Site {
  return kind === 'failback' ? 'prod' : (to ?? otherSite(from ?? active));
}

/** @throws StandbyError when what was typed contradicts itself; nothing needs to be looked at for that. */
export function checkWords({ from, to, prodIsLost, intgIsLost }: WishOptions): void {
  if (from !== undefined && from === to) throw usage(`--from and --to are both ${to}: allowed are two different sites`);
  if (prodIsLost !== undefined && intgIsLost !== undefined) {
    throw usage('--prod-is-lost and --intg-is-lost: with both sites lost nothing can take over');
  }
  const lost = prodIsLost === undefined ? (intgIsLost === undefined ? undefined : 'intg') : 'prod';
  if (lost !== undefined && lost === to) {
    throw usage(`--${lost}-is-lost and --to ${lost}: the site that takes over can't be lost`);
  }
}

/** @throws StandbyError when what was typed contradicts where the business is. */
export function wishOf(kind: Wish['kind'], options: WishOptions, values: Pick<Switch, 'activeSite'>): Wish {
  const active = values.activeSite;
  const to = target(kind, options, active);
  const { from, database, prodIsLost, intgIsLost, acceptLoss, manyNames } = options;
  if (from !== undefined && from !== active) {
    throw new StandbyError(
      'OtherSiteActive',
      `--from is ${from}, but the business runs on ${active}: nothing was changed`,
    );
  }
  const reasons = { prod: prodIsLost, intg: intgIsLost };
  if (reasons[to] !== undefined) {
    throw usage(`--${to}-is-lost, but ${to} is what would take over: the business runs on ${active}`);
  }
  const lost = reasons[otherSite(to)];
  return {
    ...{ kind, to },
    ...(database === undefined ? {} : { database }),
    ...(lost === undefined ? {} : { lost }),
    ...(acceptLoss ? { acceptLoss } : {}),
    ...(manyNames ? { manyNames } : {}),
  };
}

/** What a plan works on, as a person names it. */
function databaseOf({ branch, options }: Plan): Choice | undefined {
  const chosen = options.find((option) => option.branch === branch);
  if (chosen?.way === 'import') return 'imported';
  return (Object.keys(choices) as Choice[]).find((choice) => choices[choice] === branch);
}

/** A word as it is typed. */
function spelled(word: string, value: string | boolean | undefined): string {
  const option = `--${word.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  if (value === undefined) return `no ${option}`;
  return value === true ? option : `${option} ${/^\w+$/.test(String(value)) ? value : JSON.stringify(value)}`;
}

/** A saved plan is carried out as it is. @throws StandbyError when what was typed beside it is not what it says. */
export function checkPlanned(file: string, plan: Plan, typed: WishOptions): void {
  const { from, to, wish } = plan;
  const { lost, acceptLoss, manyNames } = wish;
  const lostIs = { prodIsLost: from === 'prod' ? lost : undefined, intgIsLost: from === 'intg' ? lost : undefined };
  const says = { from, to, database: databaseOf(plan), ...lostIs, acceptLoss, manyNames };
  const other = (Object.keys(says) as (keyof typeof says)[]).filter(
    (word) => typed[word] !== undefined && typed[word] !== says[word],
  );
  if (other.length === 0) return;
  const listed = (all: WishOptions | typeof says) => other.map((word) => spelled(word, all[word])).join(' ');
  throw usage(
    `${file} says ${listed(says)}, the command line ${listed(typed)}: leave out --plan, or what is not in the plan`,
  );
}
