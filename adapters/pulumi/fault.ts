/** What Pulumi says of a failure, as one line, and whether the same call may succeed a moment later. */
import { StandbyError, type Exit } from '../../failover/errors';

const passing =
  /\b(409|429|500|502|503|504)\b|too ?many ?requests|rate limit|internal ?server ?error|internal error occurred|service ?unavailable|AnotherOperationInProgress|OperationInProgress|ServerIsBusy|\bconflict\b|ECONNRE(SET|FUSED)|connection (reset|refused)|i\/o timeout|socket hang up|is unreachable|\bEOF\b/i;

/** Sections that say why, without the progress before and the outputs after them. */
function section(text: string): string {
  const found = /^(?:Policies|Diagnostics):\n([\s\S]*?)(?=^(?:Outputs|Resources|Duration):|(?![\s\S]))/m.exec(
    text,
  )?.[1];
  return (found ?? text).trim();
}

const isNoise = (line: string) =>
  line === '' || /^(warning|info)\b/i.test(line) || /update failed|preview failed|^\d+ error/i.test(line);

/** @param text - errors of the engine's events, or what a command printed. */
export function firstLine(text: string): string {
  const lines = section(text)
    .split('\n')
    .map((line) => line.replace(/^\s*(error:|\*)\s*/, '').trim());
  const errors = lines.filter((line) => !isNoise(line));
  return (errors[0] ?? lines[0] ?? 'it said nothing').slice(0, 600);
}

/** @param text - without secrets already. @param exit - what the command ends with when nobody tries again. */
export function pulumiFailed(what: string, text: string, exit: Exit = 'resumable'): StandbyError {
  const all = section(text);
  // A refused configuration says one line for each wrong value; those matter, not the head line alone.
  const refused = /the configuration of stack .* is refused[^\n]*\n((?:\s+standby:.*\n?)+)/.exec(all);
  const values =
    refused?.[1]
      ?.trim()
      .split('\n')
      .map((line) => line.trim()) ?? [];
  const line = refused ? `the configuration is refused: ${values.join('; ')}` : firstLine(all);
  return new StandbyError('PulumiFailed', `${what} failed: ${line}`, {
    exit,
    retryable: !refused && passing.test(all),
    cause: new Error(all.split('\n').slice(-40).join('\n')),
  });
}
