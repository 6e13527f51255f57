/** What is wrong with a configuration: all of it at once, one line each, with what to do about it. */

export interface Issue {
  /** Where: `database.backupRetentionDays`, `recoveries[1].from`. */
  readonly key: string;
  /** The value got, as it was written; absent when nothing was. Never a secret: no key of the configuration holds one. */
  readonly got?: unknown;
  readonly allowed: string;
  readonly fix: string;
}

/** A rule about several values. It is asked only when each of those it needs is right by itself. Pure. */
export interface Check<Config> {
  readonly needs: readonly (keyof Config)[];
  readonly find: (config: Config) => Issue[];
}

/** A key may stand where a public one belongs. */
const secretKey = /AGE-SECRET-KEY-\w+/gi;
const shown = (issue: Issue): string =>
  issue.got === undefined ? 'is not set' : `is ${JSON.stringify(issue.got).replace(secretKey, '[secret]')}`;

export const formatIssue = (issue: Issue): string =>
  `standby:${issue.key} ${shown(issue)}; allowed: ${issue.allowed}; to fix: ${issue.fix}`;

/** Thrown once for a configuration, with everything that is wrong with it. */
export class ConfigurationError extends Error {
  readonly code: string = 'ConfigurationInvalid';
  readonly retryable = false;

  constructor(
    readonly stackName: string,
    readonly issues: readonly Issue[],
  ) {
    const count = issues.length === 1 ? '1 value is' : `${issues.length} values are`;
    super(
      `the configuration of stack ${stackName} is refused, ${count} wrong; nothing was touched\n` +
        issues.map((issue) => `  ${formatIssue(issue)}`).join('\n'),
    );
    this.name = 'ConfigurationError';
  }
}
