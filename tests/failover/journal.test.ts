import { expect } from 'chai';
import { StandbyError } from '../../failover/errors';
import { fold, nextEntry, readLines, toLine, verifyChain } from '../../failover/journal';
import type { JournalEntry } from '../../failover/ports';
import { planFor, run, scenarios } from './scenarios';

const follow = scenarios.find(({ name }) => name === 'switchover 1c')!;

describe('the journal', () => {
  const made = async (): Promise<{ text: string; entries: JournalEntry[] }> => {
    const world = follow.world();
    const plan = planFor(follow, world);
    await run(world, plan);
    return { text: world.journal.get(plan.id) ?? '', entries: readLines(world.journal.get(plan.id) ?? '').entries };
  };

  it('knows of every line that was changed, lost, doubled or moved', async () => {
    const { entries } = await made();
    verifyChain(entries);
    const broken = (changed: readonly JournalEntry[]) =>
      expect(() => verifyChain(changed)).to.throw(StandbyError, /line \d+/);
    for (let index = 0; index < entries.length; index += 1) {
      const entry = entries[index]!;
      broken(entries.map((one, at) => (at === index ? { ...one, at: one.at + 1 } : one)));
      if (index < entries.length - 1) broken(entries.filter((_, at) => at !== index));
      broken([...entries.slice(0, index + 1), entry, ...entries.slice(index + 1)]);
    }
    broken([...entries.slice(0, 3), entries[4]!, entries[3]!, ...entries.slice(5)]);
  });

  it('leaves out a line that was cut off, wherever it was, and no other', async () => {
    const { text, entries } = await made();
    const last = text.lastIndexOf('\n', text.length - 2) + 1;
    for (let length = last; length < text.length; length += 7) {
      expect(readLines(text.slice(0, length))).to.deep.equal({ entries: entries.slice(0, -1), whole: last });
    }
    expect(() => readLines(`${text.slice(0, last - 10)}\n${text.slice(last)}`)).to.throw(StandbyError, /can’t be read/);
    expect(readLines('')).to.deep.equal({ entries: [], whole: 0 });
  });

  it('tells where a run stands after each line', async () => {
    const { entries } = await made();
    const states = entries.map((_, index) => fold(entries.slice(0, index + 1)));
    expect(states.at(-1)).to.include({ outcome: 'done', committed: true, aborting: false });
    const first = states.findIndex(({ committed }) => committed);
    expect(entries[first]?.what).to.include({ type: 'intent', step: 'promote' });
    const next = nextEntry(entries.at(-1), entries[0]!.run, 1, { type: 'resume', who: 'x' });
    verifyChain([...entries, JSON.parse(toLine(next)) as JournalEntry]);
  });
});
