/** What the failover stack told its operators, read by one call. */
import { parseLandscape, type Landscape } from '../../config/landscape';
import { StandbyError } from '../../failover/errors';
import { redactor } from '../redact';
import { pulumi, type Environment } from './command';
import { firstLine } from './fault';

const limitMs = 20_000;

/** @throws StandbyError LandscapeUnread with what to do; the output itself is never part of it. */
export async function readLandscape(environment: Environment, signal: AbortSignal): Promise<Landscape> {
  const args = ['stack', 'output', 'landscape', '--json', '--show-secrets', '--stack', 'failover'];
  const { code, stdout, stderr } = await pulumi(environment, args, { signal, timeoutMs: limitMs });
  const why = code === 0 ? undefined : redactor({ environment })(firstLine(stderr));
  if (why !== undefined) {
    const fix = 'check PULUMI_BACKEND_URL, the passphrase and STANDBY_PROJECT; `pulumi up --stack failover` makes it';
    throw new StandbyError('LandscapeUnread', `output "landscape" of stack failover can't be read (${why}): ${fix}`);
  }
  try {
    return parseLandscape(JSON.parse(stdout));
  } catch (cause) {
    // A syntax error quotes its text, which is secret.
    const message =
      cause instanceof SyntaxError
        ? 'output "landscape" of stack failover is no JSON'
        : String((cause as Error).message);
    throw new StandbyError('LandscapeUnread', message);
  }
}
