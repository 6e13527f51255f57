/** Tells an alarm to a webhook: chat, pager, whatever takes a JSON text. */
import { exchange } from '../http';
import { trying, Passing } from '../patience';
import { StandbyError } from '../../failover/errors';
import type { Environment } from '../pulumi/command';

const withinMs = 5_000;

/**
 * Posts `{"text": …, "event": …}` to STANDBY_ALERT_URL, where there is one.
 * @throws StandbyError AlertUnsent, after three attempts; the address, which may hold a secret, is no part of it.
 */
export async function sendAlert(
  environment: Environment,
  text: string,
  event: object,
  signal: AbortSignal,
): Promise<void> {
  const url = environment['STANDBY_ALERT_URL'];
  if (!url) return;
  const body = JSON.stringify({ text, event });
  const headers = { 'content-type': 'application/json' };
  await trying({ signal }, async () => {
    const unsent = (why: string) =>
      new Passing(
        new StandbyError('AlertUnsent', `the alert was not taken (${why}): check STANDBY_ALERT_URL`, {
          retryable: true,
        }),
      );
    const { status } = await exchange(url, { method: 'POST', headers, body, signal, withinMs }).catch(
      (cause: unknown) => {
        throw unsent((cause as Error).message);
      },
    );
    if (status >= 300) throw unsent(`status ${status}`);
  });
}
