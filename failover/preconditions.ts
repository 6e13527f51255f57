/** What must hold before there is a plan at all. Each refusal says what was seen and what to do. Pure. */
import { StandbyError, type Exit } from './errors';
import { times } from './leaseTimes';
import { known, type BranchOption } from './model';
import { fresh, need, staleAfterSeconds } from './readings';
import { accepts, fenceable, type Situation } from './situation';

const refuse = (code: string, message: string, exit: Exit = 'refused'): never => {
  throw new StandbyError(code, message, { exit });
};

/** @throws StandbyError when no plan of any branch may be made. */
export function checkWorld(situation: Situation): void {
  checkWish(situation);
  checkPrimaries(situation);
  checkStack(situation);
  checkEpochs(situation);
  checkTarget(situation);
  if (situation.planned) checkHealth(situation);
}

function checkWish({ observation, now, wish, values, servers, current }: Situation): void {
  const age = Math.round((now - observation.at) / 1000);
  if (age > staleAfterSeconds)
    refuse('Unknown', `everything was looked at ${age} s ago, which tells nothing of now: look again`);
  if (wish.kind === 'failback' && wish.to !== 'prod') {
    refuse('NotHome', 'a failback leads home, to prod: say standby switchover --from prod --to intg for the other way');
  }
  if (wish.to === values.activeSite) {
    refuse('AlreadyActive', `${wish.to} is the active site already, in epoch ${values.epoch}: there is nothing to do`);
  }
  if (values.stage !== 'complete') {
    refuse(
      'HalfDone',
      `the change of role to ${values.activeSite} is at stage ${values.stage}: finish it with standby resume, or with stage complete and pulumi up`,
    );
  }
  const identity = servers.find((server) => server.identity);
  if (identity?.name !== current.plan.name) {
    refuse(
      'SplitServers',
      `the identity provider works on ${identity?.name ?? 'nothing'}, the applications on ${current.plan.name}: bring them together by pulumi up first`,
    );
  }
}

/** Two servers that take writes: nothing that the engine could do is safe. */
function checkPrimaries({ observation, now }: Situation): void {
  const open = Object.keys(observation.servers).filter((name) => accepts(fresh(observation.servers[name], now)));
  if (open.length < 2) return;
  refuse(
    'TwoPrimaries',
    `${open.join(' and ')} both take writes; nothing was changed: find out which has the rows that count, close the other ` +
      '(pulumi up -s failover closes every server but the one in use), then plan again',
    'person',
  );
}

function checkStack({ observation, now }: Situation): void {
  const stack = need(
    observation.stacks.failover,
    now,
    'the state of stack failover',
    'see that the store of the states answers, then plan again',
  );
  if (stack.pending) {
    refuse(
      'StackPending',
      'an update of stack failover goes on, or was cut off: wait for it, or give it up with pulumi cancel -s failover',
    );
  }
}

/** Somebody has gone further than this configuration knows of. */
function checkEpochs({ observation, now, values, wish, epoch }: Situation): void {
  const { epoch: own } = values;
  const latest = 'take the newest configuration of stack failover, then plan again';
  for (const [name, reading] of Object.entries(observation.servers)) {
    const token = fresh(reading, now)?.token;
    if (token && token.epoch > own) {
      refuse(
        'StaleConfiguration',
        `${name} has admitted epoch ${token.epoch}, the configuration says ${own}: ${latest}`,
      );
    }
  }
  const lease = fresh(observation.lease, now);
  // A run that was given up after it had taken the lease leaves it where this plan wants it.
  const taken = lease?.holder === wish.to && lease.epoch === epoch;
  if (lease?.mode === 'on' && lease.epoch !== undefined && lease.epoch > own && !taken) {
    refuse(
      'StaleConfiguration',
      `the lease is ${lease.holder ?? 'nobody'}'s in epoch ${lease.epoch}, the configuration says ${own}: ${latest}`,
    );
  }
}

/** What every plan rests on, whatever is lost. */
function checkTarget({ observation, now, to }: Situation): void {
  need(observation.sites[to].cluster, now, `the cluster of ${to}`, `${to} can't take over before it answers`);
  const lease = need(observation.lease, now, 'the writer lease', 'see that the store outside both sites answers');
  if (lease.mode === 'on') {
    const { state, why } = need(
      observation.sites[to].agent,
      now,
      `the agent of ${to}`,
      'it must answer before it can claim the lease',
    );
    if (state === 'blind') {
      refuse(
        'AgentBlind',
        `the agents of ${to} do not see the lease (${why ?? 'no reason given'}), so ${to} could not keep the right to write: see that they reach the store outside both sites, in less than ${times.answerMs / 1000} s`,
      );
    }
  }
}

/** A planned change of role leaves nothing to chance. */
function checkHealth(situation: Situation): void {
  const { observation, now, from, values, current } = situation;
  const again = 'wait until it answers; if it is lost, say standby failover';
  for (const stack of ['prod', 'intg'] as const) {
    const { pending } = need(observation.stacks[stack], now, `the state of stack ${stack}`, again);
    if (pending)
      refuse(
        'StackPending',
        `an update of stack ${stack} goes on, or was cut off: wait for it, or pulumi cancel -s ${stack}`,
      );
  }
  need(observation.apis.azure, now, "Azure's API", again);
  need(observation.apis.cloudflare, now, "Cloudflare's API", again);
  need(observation.records, now, 'the public DNS records', again);
  need(observation.sites[current.plan.site].identity, now, `the identity provider of ${current.plan.site}`, again);
  const { apps } = need(observation.sites[from].cluster, now, `the cluster of ${from}`, again);
  const weak = apps.find(({ ready, wanted, epoch }) => ready < wanted || epoch !== values.epoch);
  if (weak) {
    refuse(
      'NotHealthy',
      `${weak.app} at ${from} has ${weak.ready} of ${weak.wanted} instances ready, in epoch ${weak.epoch}: wait until it has all in epoch ${values.epoch}; if it can't recover, say standby failover`,
    );
  }
  checkCurrent(situation);
  checkReplica(situation);
  const lease = known(observation.lease);
  if (lease?.mode !== 'on') return;
  need(observation.sites[from].agent, now, `the agent of ${from}`, again);
  if (lease.holder !== from || lease.epoch !== values.epoch || lease.released) {
    refuse(
      'NotHealthy',
      `the lease is ${lease.released ? 'released' : `${lease.holder ?? 'nobody'}'s`} in epoch ${lease.epoch ?? 'none'}, not ${from}'s in epoch ${values.epoch}: wait until ${from} holds it; if it can't, say standby failover`,
    );
  }
}

function checkCurrent({ observation, now, current, values }: Situation): void {
  const { name } = current.plan;
  const server = need(
    observation.servers[name],
    now,
    name,
    'wait until it answers; if it is lost, say standby failover',
  );
  const { role, writable, token } = server;
  if (role === 'primary' && writable && (!token || (token.open && token.epoch === values.epoch))) return;
  const state =
    role === 'replica'
      ? 'a replica'
      : `${writable ? 'writable' : 'read-only'}, with ${token?.open ? 'an open' : 'a closed'} token of epoch ${token?.epoch ?? 'none'}`;
  refuse(
    'NotHealthy',
    `${name} is ${state}, but should take writes in epoch ${values.epoch}: run pulumi up -s failover; if that does not help, say standby failover`,
  );
}

/** Longest lag with which a planned change begins: the rest is replayed while nobody can write. */
const longestLagSeconds = 30;

function checkReplica({ replica }: Situation): void {
  const lag = replica?.reading?.lagSeconds;
  if (!replica?.reading?.streaming || lag === undefined || lag <= longestLagSeconds) return;
  refuse(
    'NotHealthy',
    `${replica.plan.name} is ${Math.round(lag)} s behind, allowed are ${longestLagSeconds} s: wait until it has caught up`,
  );
}

/** What only a person can say: that a site is lost, and that rows may be. */
export function checkWords(situation: Situation, option: BranchOption): void {
  const { wish, from, current } = situation;
  if (!fenceable(situation) && wish.lost === undefined) {
    refuse(
      'LostNotStated',
      `${from} can't be fenced: ${current.plan.name} does not answer. ${stillWritable(situation)} ` +
        `If nobody can reach ${from} any more, say so: --${from}-is-lost "reason"`,
      'person',
    );
  }
  if (option.lossSeconds === 0 || wish.acceptLoss) return;
  const amount =
    option.lossSeconds === 'unknown' ? 'an unknown number of rows' : `up to ${Math.ceil(option.lossSeconds)} s of rows`;
  refuse(
    'LossNotAccepted',
    `branch ${option.branch} loses ${amount}: ${option.lossWhy}; if that is accepted, say --accept-loss`,
    'person',
  );
}

/** What could still be written at a site that can't be fenced. */
export function stillWritable({ observation, now, from, current, values }: Situation): string {
  const lease = fresh(observation.lease, now);
  const { name } = current.plan;
  const who = `If ${name} lives, whoever still reaches ${from} goes on writing to it in epoch ${values.epoch}`;
  return lease?.mode === 'on'
    ? `${who} until ${from}'s agents lose the lease and close it; the lease is taken over only when it has run out. Rows of that time stay on ${name}, and are exported before a failback.`
    : `${who} for as long as it runs: the writer lease is off, so nothing closes it. Those rows stay on ${name}, and are exported before a failback.`;
}

/** The share of a zone's records that may move without a person's word, where the zone is large enough for a share to mean anything. */
const usualShare = 0.5;
const fewRecords = 10;

export function checkNames({ observation, now, to, wish }: Situation): void {
  const records = Object.values(fresh(observation.records, now) ?? {});
  const moving = records.filter((content) => content !== observation.ingress[to]).length;
  if (wish.manyNames || records.length < fewRecords || moving / records.length <= usualShare) return;
  refuse(
    'ManyNames',
    `${moving} of ${records.length} records of ${observation.configuration.zone} would move, usual are ${usualShare * 100} % at most: say --many-names if that is meant`,
  );
}

/** Rows that only the server at home has are exported before a failback; for that it must answer. */
export function checkDiverged({ observation, now, wish, previous }: Situation): void {
  if (wish.kind !== 'failback' || !previous || previous.reading || wish.acceptLoss) return;
  need(
    observation.servers[previous.plan.name],
    now,
    previous.plan.name,
    `rows that only it has can't be exported before it answers; say --accept-loss to give them up`,
  );
}
