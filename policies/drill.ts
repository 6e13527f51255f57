/** A drill works on a copy that must go: what it makes is known by its stack, its tag and the time at which it ends. */
import { readLower, text, read, type Resource, type Stack } from './rule';

const utc = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$/;

/** The tag alone frees nothing: it counts in the stack `drill` only, and together with an end. */
export const isOfDrill = ({ props }: Resource, stack: Stack): boolean =>
  stack.name === 'drill' &&
  readLower(props, 'tags.standby-purpose') === 'drill' &&
  utc.test(text(read(props, 'tags.standby-expires')));
