import { expect } from 'chai';
import fc from 'fast-check';
import {
  beginWatch,
  observeRound,
  sightOf,
  type Outcome,
  type Probe,
  type Round,
  type Sight,
  type Target,
  type WatchEvent,
} from '../../failover/watch';

const hosts = ['admin', 'api', 'id', 'idp', 'static', 'survey'];
const targets: readonly Target[] = [
  ...hosts.map((host): Target => ({ id: `public ${host}`, way: 'public' })),
  ...(['prod', 'intg'] as const).flatMap((site) =>
    hosts.map((host): Target => ({ id: `direct ${site} ${host}`, way: 'direct', site })),
  ),
  { id: 'database', way: 'database', site: 'prod' },
  ...['1.1.1.1', '8.8.8.8', '9.9.9.9'].map((server): Target => ({ id: `resolver ${server}`, way: 'resolver' })),
];

/** PROD serves; INTG's ingress is there, and has nothing behind it. */
const healthy = (target: Target): Outcome =>
  target.way === 'direct' && target.site === 'intg' ? 'answered' : 'served';
const prodCluster = (target: Target): Outcome => {
  if (target.way === 'public') return 'answered';
  return target.way === 'direct' && target.site === 'prod' ? 'silent' : healthy(target);
};
const prod = (target: Target): Outcome => (target.way === 'database' ? 'silent' : prodCluster(target));
const nobody = (): Outcome => 'silent';

type World = (target: Target) => Outcome;
const roundOf = (at: number, world: World): Round => ({
  at,
  probes: targets.map((target): Probe => ({ target, outcome: world(target), milliseconds: 20 })),
});

interface Seen {
  readonly events: readonly (WatchEvent & { readonly round: number })[];
  readonly sights: readonly Sight[];
}

/** One round a second. */
function watch(worlds: readonly World[]): Seen {
  let state = beginWatch('prod');
  const events: (WatchEvent & { round: number })[] = [];
  const sights: Sight[] = [];
  worlds.forEach((world, index) => {
    const told = observeRound(state, roundOf(index * 1000, world));
    state = told.state;
    sights.push(told.sight);
    events.push(...told.events.map((event) => ({ ...event, round: index })));
  });
  return { events, sights };
}
const times = (count: number, world: World): World[] => Array.from({ length: count }, () => world);

describe('the watch', () => {
  it('says nothing while PROD serves', () => expect(watch(times(100, healthy)).events).to.deep.equal([]));

  it('raises one alarm for a lost site, in its third round, and says when it is over', () => {
    const { events } = watch([...times(5, healthy), ...times(20, prod), ...times(5, healthy)]);
    expect(events.map(({ type, round }) => [type, round])).to.deep.equal([
      ['alarm', 7],
      ['over', 27],
    ]);
    expect(events[0]).to.deep.include({
      alarm: { sight: 'lost', site: 'prod', scope: 'site', since: 5000 },
      rounds: 3,
    });
  });

  it('tells a lost cluster from a lost site by the database', () => {
    const scope = (worlds: World[]) =>
      watch(worlds).events.flatMap((event) => ('alarm' in event ? [`${event.type} ${event.alarm.scope}`] : []));
    expect(scope(times(5, prodCluster))).to.deep.equal(['alarm cluster']);
    expect(scope(times(5, prod))).to.deep.equal(['alarm site']);
    // The database goes later: the alarm stands, and is told to be worse.
    expect(scope([...times(4, prodCluster), ...times(4, prod)])).to.deep.equal([
      'alarm cluster',
      'scope unknown',
      'scope site',
    ]);
  });

  it('says that it is cut off, never that PROD is down, when nobody answers', () => {
    const { events } = watch([...times(5, healthy), ...times(50, nobody), ...times(5, healthy)]);
    expect(events.map(({ type, round }) => [type, round])).to.deep.equal([
      ['blind', 7],
      ['sees-again', 55],
    ]);
  });

  it('does not blame anybody while it is too busy itself, and says so', () => {
    let state = beginWatch('prod');
    const told = times(6, prod).map((world, index) => {
      const { state: next, events } = observeRound(state, { ...roundOf(index * 1000, world), strained: index < 3 });
      state = next;
      return events.map((event) => ('blind' in event ? `${event.type} ${event.blind.sight}` : event.type));
    });
    expect(told).to.deep.equal([[], [], ['blind strained'], ['sees-again strained'], [], ['alarm']]);
  });

  it('keeps an alarm that stands while it is cut off itself', () => {
    const { events } = watch([...times(5, prod), ...times(5, nobody), ...times(5, prod), ...times(5, healthy)]);
    expect(events.map(({ type }) => type)).to.deep.equal(['alarm', 'blind', 'sees-again', 'over']);
  });

  it('blames neither site when both are silent and only resolvers are near', () => {
    const { events } = watch(times(5, ({ way }) => (way === 'resolver' ? 'served' : 'silent')));
    expect(events).to.have.length(1);
    expect(events[0]).to.deep.include({ type: 'alarm' });
    expect(events[0]).to.have.nested.property('alarm.sight', 'both-silent');
  });

  it('does not take a broken edge for a lost site', () => {
    const { events } = watch(times(5, (target) => (target.way === 'public' ? 'answered' : healthy(target))));
    expect(events.map((event) => 'alarm' in event && event.alarm.sight)).to.deep.equal(['public-way']);
  });

  it('does not take an ingress that is closed to it for a lost site', () => {
    const closed: World = (target) => (target.way === 'direct' && target.site === 'prod' ? 'silent' : healthy(target));
    const { events, sights } = watch(times(100, closed));
    expect(events).to.deep.equal([]);
    expect(new Set(sights)).to.deep.equal(new Set(['unclear']));
  });
});

const outcome = fc.constantFrom<Outcome>('served', 'answered', 'silent');

describe('the watch, whatever happens', () => {
  it('raises no alarm for one lost or slow probe a round, whichever it is', () =>
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(targets.length - 1), outcome), { maxLength: 200 }), (faults) => {
        const worlds = faults.map(
          ([index, wrong]): World =>
            (target) =>
              target === targets[index] ? wrong : healthy(target),
        );
        expect(watch(worlds).events).to.deep.equal([]);
      }),
    ));

  it('raises no alarm for one failing host, however long', () =>
    fc.assert(
      fc.property(fc.constantFrom(...hosts), outcome, (host, wrong) => {
        const failing: World = (target) => (target.id.endsWith(` ${host}`) ? wrong : healthy(target));
        expect(watch(times(300, failing)).events).to.deep.equal([]);
      }),
    ));

  it('never accuses a site in a round in which nobody is heard', () =>
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 60 }), (heard) => {
        const { events } = watch(heard.map((one) => (one ? healthy : nobody)));
        expect(events.filter(({ type }) => type === 'alarm')).to.deep.equal([]);
      }),
    ));

  it('never accuses PROD while most of its hosts serve one way', () =>
    fc.assert(
      fc.property(fc.array(outcome, { minLength: targets.length, maxLength: targets.length }), (outcomes) => {
        const world: World = (target) => outcomes[targets.indexOf(target)] ?? 'silent';
        const served = (way: string, site?: string) =>
          targets.filter((one) => one.way === way && one.site === site && world(one) === 'served').length;
        const sight = sightOf(roundOf(0, world), 'prod');
        if (served('public') >= 3 || served('direct', 'prod') >= 3) expect(sight).to.not.equal('lost');
      }),
    ));

  it('finds a dead site within three rounds, whatever else is lost beside it', () =>
    fc.assert(
      fc.property(
        fc.nat(50),
        fc.array(fc.nat(hosts.length / 2), { minLength: 3, maxLength: 3 }),
        fc.boolean(),
        (quiet, lost, whole) => {
          // Of the other site some probes are lost as well, at most half of them.
          const dead = lost.map(
            (count): World =>
              (target) =>
                target.site === 'intg' && hosts.indexOf(target.id.split(' ')[2] ?? '') < count
                  ? 'silent'
                  : (whole ? prod : prodCluster)(target),
          );
          const { events } = watch([...times(quiet, healthy), ...dead]);
          expect(events.map(({ type, round }) => [type, round])).to.deep.equal([['alarm', quiet + 2]]);
        },
      ),
    ));

  it('stays quiet for a day of noise such as networks make', () => {
    // Probes lost by themselves, blips of a second or two that take the public way or all of PROD, a resolver that fails for minutes.
    const random = lcg(20261120);
    let [blip, whole, slowResolver] = [0, false, 0];
    const worlds = Array.from({ length: 86_400 }, (): World => {
      const begins = blip === 0 && random() < 1 / 1800;
      if (begins) whole = random() < 0.5;
      blip = begins ? 1 + Math.floor(random() * 2) : Math.max(0, blip - 1);
      slowResolver = slowResolver > 0 ? slowResolver - 1 : random() < 1 / 7200 ? 180 : 0;
      const [now, all, noResolver] = [blip > 0, whole, slowResolver > 0];
      const fates = new Map(targets.map((target) => [target, random() < 0.03] as const));
      return (target) => {
        if (noResolver && target.id === 'resolver 1.1.1.1') return 'silent';
        if (now && (target.way === 'public' || (all && target.site === 'prod'))) return 'silent';
        return fates.get(target) ? 'silent' : healthy(target);
      };
    });
    expect(watch(worlds).events).to.deep.equal([]);
  }).timeout(120_000);
});

/** The same noise in each run. */
function lcg(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
