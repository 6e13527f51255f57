/** Clocks of a site's pods that go wrong (sandbox/chaos/clock.ts). */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders, type Site } from '../world';

export interface ClockOrder {
  /** Added to the time of day; negative: the clock is behind. */
  readonly seconds: number;
  /** Regular expression on the names of the pods whose clock it is. */
  readonly pods: string;
}

export const clockFile = (site: Site) => path.join(folders.kubernetes(site), 'clock.json');

/** Sets the clocks of pods; 0 sets them right. */
export function setClocks(site: Site, seconds: number, pods = '.'): void {
  const file = clockFile(site);
  if (seconds === 0) return fs.rmSync(file, { force: true });
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file + '.new', JSON.stringify({ seconds, pods } satisfies ClockOrder));
  fs.renameSync(file + '.new', file);
}
