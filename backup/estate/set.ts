/** What every data set beside the databases is: files that are taken, compared with what is there now, and brought back. */
import type { DataSet, Instant } from '../model';
import type { Call } from '../ports';

export interface EstateFile {
  /** Path inside the backup, `/` between its parts. */
  readonly name: string;
  readonly bytes: Buffer;
}

/** Something that is not as the backup has it. */
export interface Difference {
  /** `record A api.moodtalk.ch`, `ref refs/heads/main of platform`. */
  readonly what: string;
  /**
   * `missing`, `different`: a restore brings it back. `extra`: it is not in the backup, and is left. `moves`: a failover decides
   * what it says, so a restore leaves it. `unknown`: nobody answers.
   */
  readonly how: 'missing' | 'different' | 'extra' | 'moves' | 'unknown';
  /** One line; never a secret. */
  readonly detail?: string;
}

export interface EstateSet {
  readonly dataSet: DataSet;
  /** What made it, and reads it again. */
  readonly tool: string;
  /** A second key must have opened it before it counts. @default - false */
  readonly secondKey?: boolean;
  /** All until then is in it. @default - when it was begun */
  readonly recoveryPoint?: Instant;
  /** @returns why there is nothing to take; undefined when there is. An empty backup would be one that a restore check refuses. */
  nothing?(call: Call): Promise<string | undefined>;
  /** @throws StandbyError when any part of it can't be had: a backup is whole, or there is none. */
  collect(call: Call): Promise<readonly EstateFile[]>;
  /** @returns what is not there as it is in the files; nothing when all is the same. Changes nothing. */
  compare(files: readonly EstateFile[], call: Call): Promise<readonly Difference[]>;
  /**
   * Brings back what `compare` finds missing or different; a second time it does nothing.
   * Absent where what is taken has no place to be put back to by a program: it comes back as files.
   * @returns what was done, one line each.
   */
  restore?(files: readonly EstateFile[], call: Call): Promise<readonly string[]>;
}

/** Differences that a restore would mend. */
export const mendable = (differences: readonly Difference[]): readonly Difference[] =>
  differences.filter(({ how }) => how === 'missing' || how === 'different');

export const describeDifference = ({ what, how, detail }: Difference): string =>
  `${how.padEnd(9)} ${what}${detail === undefined ? '' : `: ${detail}`}`;
