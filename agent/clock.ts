/**
 * The agent's own time, milliseconds from any beginning: the steady clock, and on top of it what it did not see while its machine
 * slept. So nothing ever seems younger than it is.
 */
const jumpMs = 500;

let [steady, wall, own, leaps] = [performance.now(), Date.now(), 0, 0];

export function ownTime(): number {
  const [steadyNow, wallNow] = [performance.now(), Date.now()];
  const passed = steadyNow - steady;
  const leap = wallNow - wall - passed;
  own += passed;
  if (leap > jumpMs) {
    own += leap;
    leaps += 1;
  }
  [steady, wall] = [steadyNow, wallNow];
  return own;
}

/** How often this time has leapt. It may as well have been somebody who set the clock: then things seem older than they are. */
export const leapsOfTime = (): number => leaps;
