/** Answers probes, the engine, and the agents of both sites. Who has not the agents' key learns nothing. */
import * as http from 'node:http';
import { proofHeader, proveAnswer, proveQuestion, proves, type Answer, type Topic } from '../adapters/store/talk';
import type { Agent } from './agent';
import { messageOf, type Log } from './log';

const longestBody = 4_096;
/** Words of questions that were answered: none is answered twice. */
const keptWords = 10_000;

type Question = Readonly<Record<string, unknown>>;
type Handler = (
  agent: Agent,
  question: Question,
  name: string,
) => Promise<Answer['body'] | string> | Answer['body'] | string;

const epochOf = (question: Question): number => {
  const { epoch } = question;
  if (typeof epoch !== 'number' || !Number.isInteger(epoch) || epoch < 1)
    throw new Error('epoch is not a whole number');
  return epoch;
};

/** What is told on each topic; a text is the reason why not. */
const topics: Readonly<Record<Topic, Handler>> = {
  status: (agent) => ({ ...agent.reading() }),
  look: async (agent) => {
    await agent.look();
    return { ...agent.reading() };
  },
  confirm: async (agent, question) => ({ confirms: await agent.confirm(epochOf(question)) }),
  peer: (agent, question, name) => {
    const ageMs = question['from'] === name ? undefined : agent.confirmedAgo(epochOf(question));
    return ageMs === undefined ? {} : { ageMs };
  },
  claim: async (agent, question) => ({ quietMs: await agent.claim(epochOf(question)) }),
  release: async (agent, question) => (await agent.release(epochOf(question))) ?? { released: true },
};

export function serve(
  agent: Agent,
  options: { readonly key: string; readonly name: string; readonly log: Log },
): http.Server {
  const words = new Set<string>();
  return http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const path = request.url ?? '/';
    if (request.method === 'GET') return probe(agent, path, response);
    answer(agent, options, words, request, response).catch((cause: unknown) => {
      options.log('question failed', { path, why: messageOf(cause) });
      if (!response.headersSent) response.writeHead(400);
      response.end();
    });
  });
}

function probe(agent: Agent, path: string, response: http.ServerResponse): void {
  const found = path === '/healthz' ? agent.alive : path === '/readyz' ? agent.ready : undefined;
  response.writeHead(found === undefined ? 404 : found ? 200 : 503, { 'content-type': 'text/plain' });
  response.end(found === undefined ? 'not found\n' : found ? 'yes\n' : 'no\n');
}

async function answer(
  agent: Agent,
  { key, name, log }: { readonly key: string; readonly name: string; readonly log: Log },
  words: Set<string>,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const text = await bodyOf(request);
  const topic = (request.url ?? '').slice(1);
  const handler = Object.hasOwn(topics, topic) ? topics[topic as Topic] : undefined;
  if (!handler || !proves(request.headers[proofHeader], proveQuestion(key, topic as Topic, text))) {
    response.writeHead(handler ? 403 : 404).end();
    return;
  }
  const question = JSON.parse(text) as Question;
  const word = String(question['word']);
  if (words.has(word)) throw new Error('a question was repeated');
  words.add(word);
  if (words.size > keptWords) words.delete([...words][0] ?? '');
  const { status, body } = await tell(agent, handler, question, name, log);
  const reply = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    [proofHeader]: proveAnswer(key, word, status, reply),
  });
  response.end(reply);
}

async function tell(agent: Agent, handler: Handler, question: Question, name: string, log: Log): Promise<Answer> {
  try {
    const told = await handler(agent, question, name);
    return typeof told === 'string' ? { status: 409, body: { why: told } } : { status: 200, body: told };
  } catch (cause) {
    const why = messageOf(cause);
    log('question failed', { why });
    return { status: 503, body: { why } };
  }
}

async function bodyOf(request: http.IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > longestBody) throw new Error('a question is too long');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
