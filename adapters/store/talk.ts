/**
 * How agents and the engine talk. Who has the agents' key can ask and answer: each message is signed, an answer together with the
 * word that only its question had. So it does not matter which certificate an ingress shows for an internal name.
 */
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import * as https from 'node:https';
import { StandbyError } from '../../failover/errors';
import { within } from '../../failover/within';

export interface Peer {
  /** Name that the ingress of its site answers to for its agents, and the ingress' address. */
  readonly host: string;
  readonly address: string;
}

export const proofHeader = 'x-standby-proof';
export type Topic = 'status' | 'confirm' | 'peer' | 'claim' | 'release' | 'look';

const prove = (key: string, ...parts: readonly string[]) =>
  createHmac('sha256', key).update(parts.join('\n')).digest('base64url');
export const proveQuestion = (key: string, topic: Topic, body: string): string => prove(key, 'question', topic, body);
export const proveAnswer = (key: string, word: string, status: number, body: string): string =>
  prove(key, 'answer', word, String(status), body);

export function proves(given: unknown, wanted: string): boolean {
  const [a, b] = [Buffer.from(typeof given === 'string' ? given : ''), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Kept open: an agent asks every second when it is in doubt. */
const connections = new https.Agent({ keepAlive: true, maxSockets: 4, rejectUnauthorized: false });

/** Asks one of a site's agents. @throws StandbyError AgentUnreachable, retryable, also for an answer that nobody signed. */
export async function ask(
  peer: Peer,
  key: string,
  topic: Topic,
  question: Readonly<Record<string, unknown>>,
  { signal, withinMs }: { readonly signal: AbortSignal; readonly withinMs: number },
): Promise<Answer> {
  const word = randomUUID();
  const text = JSON.stringify({ ...question, word });
  try {
    const reply = await send(peer, topic, text, proveQuestion(key, topic, text), signal, withinMs);
    if (!proves(reply.proof, proveAnswer(key, word, reply.status, reply.text))) {
      throw new Error(`an answer ${reply.status} that no agent signed`);
    }
    return { status: reply.status, body: JSON.parse(reply.text) as Answer['body'] };
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw new StandbyError(
      'AgentUnreachable',
      `no agent answers at ${peer.host} (${peer.address}): ${(cause as Error).message}`,
      { retryable: true, cause },
    );
  }
}

interface Reply {
  readonly status: number;
  readonly proof: unknown;
  readonly text: string;
}

function send(
  { host, address }: Peer,
  topic: Topic,
  text: string,
  proof: string,
  signal: AbortSignal,
  withinMs: number,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = https.request({
      ...{ host: address, servername: host, method: 'POST', path: `/${topic}`, agent: connections },
      headers: {
        host,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        [proofHeader]: proof,
      },
      signal: within(withinMs, signal),
    });
    request.on('error', reject).on('response', (response) => {
      const parts: Buffer[] = [];
      response
        .on('data', (part: Buffer) => parts.push(part))
        .on('error', reject)
        .on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            proof: response.headers[proofHeader],
            text: Buffer.concat(parts).toString('utf8'),
          }),
        );
    });
    request.end(text);
  });
}
