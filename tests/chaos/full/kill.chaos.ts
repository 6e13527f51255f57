/** kill -9 at every point of every plan, then `resume`: the same end, and a second run changes nothing. */
import { expect } from 'chai';
import { setTimeout as delay } from 'node:timers/promises';
import type { StepId } from '../../../failover/model';
import type { JournalEntry } from '../../../failover/ports';
import { lastRun, planOf, type Killing } from '../harness/command';
import { exits, leaveWorld, Scenario, type Base } from '../harness/kit';
import type { EndState } from '../harness/state';

interface Course {
  readonly what: string;
  readonly base: Base;
  /** Makes the world that the command is given in. */
  readonly before?: (scenario: Scenario) => Promise<void>;
  readonly command: readonly string[];
}

const lost = ['--prod-is-lost', 'the region does not answer', '--accept-loss'];
const switchover = ['switchover', '--from', 'prod', '--to', 'intg'];

const courses: readonly Course[] = [
  { what: 'a switchover to a replica', base: 'replica', command: switchover },
  { what: 'a switchover that shares the database', base: 'plain', command: switchover },
  {
    what: 'a failover with PROD’s cluster gone (1a)',
    base: 'plain',
    before: ({ world }) => Promise.resolve(world.modules.silence.setSilence('prod', 'cluster')),
    command: ['failover', '--to', 'intg', ...lost],
  },
  {
    what: 'a failover with PROD gone, from its backup (1b)',
    base: 'plain',
    before: ({ world }) => Promise.resolve(world.modules.silence.setSilence('prod', 'site')),
    command: ['failover', '--to', 'intg', ...lost],
  },
  {
    what: 'a failover with PROD gone, to its replica (1c)',
    base: 'replica',
    before: ({ world }) => Promise.resolve(world.modules.silence.setSilence('prod', 'site')),
    command: ['failover', '--to', 'intg', ...lost],
  },
];

/** Each step is killed once in a run: when its intent is on disk, in its middle, or when its result is. */
type Point = 'before' | 'during' | 'after';

/** Into the middle of a step: the machine may be quicker now than when its time was taken. */
const longestMiddleMs = 1_000;

/** A step that was killed is killed no second time: else no run would ever end. */
function once(point: Point, seconds: ReadonlyMap<StepId, number>) {
  const killed = new Set<StepId>();
  return async ({ what }: JournalEntry): Promise<boolean> => {
    const type = point === 'after' ? 'result' : 'intent';
    if (what.type !== type || killed.has(what.step)) return false;
    killed.add(what.step);
    if (point === 'during') await delay(Math.min(((seconds.get(what.step) ?? 0) * 1000) / 4, longestMiddleMs));
    return true;
  };
}

/** What may differ: nothing that a person would see. */
const comparable = ({ servers, ...rest }: EndState) => ({
  ...rest,
  servers: Object.fromEntries(
    Object.entries(servers).map(([name, { role, epoch, open }]) => [name, { role, epoch, open }]),
  ),
});

for (const course of courses) {
  describe(`kill -9 in ${course.what}`, function () {
    this.timeout('60m');
    const number = 243;
    const seconds = new Map<StepId, number>();
    let undisturbed: EndState;
    let scenario: Scenario | undefined;
    afterEach(() => scenario?.end());
    after(leaveWorld);

    const begin = async () => {
      scenario = await Scenario.begin(course.base, number);
      await course.before?.(scenario);
      scenario.expectMove();
      return scenario;
    };
    const finish = async (one: Scenario) => {
      one.moved();
      one.world.heal();
      await one.standby(['resume']); // nothing is left to go on with
      return one.expectEnd();
    };

    it('goes through undisturbed, and a second run changes nothing', async () => {
      const one = await begin();
      const { code, events, stderr } = await one.standby(course.command);
      expect(code, stderr).to.equal(exits.done);
      for (const event of events) if (event.code === 'StepDone') seconds.set(event.step, event.seconds);
      const again = await one.writesOf(() => one.standby(course.command));
      expect(again).to.deep.equal([]);
      undisturbed = await finish(one);
    });

    for (const point of ['before', 'during', 'after'] as const) {
      for (const killing of ['process', 'machine'] satisfies Killing[]) {
        it(`ends the same when each step is killed ${point} its end, with ${killing === 'machine' ? 'all that it started' : 'nothing else'}`, async () => {
          const one = await begin();
          const killAt = once(point, seconds);
          const { code, stderr } = await one.insist(course.command, { killAt, killing });
          expect(code, stderr).to.equal(exits.done);
          const entries = lastRun(one.world);
          const steps = planOf(entries).steps.map(({ id }) => id);
          const killed = entries.filter(({ what }) => what.type === 'resume').length;
          expect(killed, `kills in ${steps.length} steps`).to.be.at.least(
            Math.floor(steps.length / (point === 'during' ? 3 : 2)),
          );
          const again = await one.writesOf(() => one.standby(['resume']));
          expect(again).to.deep.equal([]);
          expect(comparable(await finish(one))).to.deep.equal(comparable(undisturbed));
        });
      }
    }
  });
}
