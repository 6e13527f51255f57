/** Downloads one pinned file. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EnvHttpProxyAgent, interceptors, request } from 'undici';
import { SandboxError } from '../error';

export interface Download {
  readonly url: string;
  readonly file: string;
  readonly sha256: string;
  readonly signal?: AbortSignal;
  /** Given up when nothing comes for so long: at the connection, before the first byte, or in between. @default 10000 */
  readonly giveUpMs?: number;
  readonly onBytes?: (bytes: number) => void;
}

/**
 * @throws SandboxError, one line: no answer in time, another status than 200, or content that is not what is pinned.
 * The file is there only when all went well.
 */
export async function download({ url, file, sha256, signal, giveUpMs = 10_000, onBytes }: Download): Promise<void> {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), giveUpMs);
  const agent = new EnvHttpProxyAgent();
  const hash = createHash('sha256');
  let bytes = 0;
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      timer.refresh();
      hash.update(chunk);
      onBytes?.((bytes += chunk.length));
      done(null, chunk);
    },
  });
  const unfinished = `${file}.unfinished`;
  try {
    const response = await request(url, {
      dispatcher: agent.compose(interceptors.redirect({ maxRedirections: 5 })),
      signal: AbortSignal.any([giveUp.signal, ...(signal ? [signal] : [])]),
    });
    timer.refresh();
    if (response.statusCode !== 200) throw failed(url, `answered with status ${response.statusCode}`);
    await pipeline(response.body, count, fs.createWriteStream(unfinished));
    const got = hash.digest('hex');
    if (got !== sha256) throw failed(url, `has SHA-256 ${got}, but ${sha256} is pinned; nothing of it was used`);
    fs.renameSync(unfinished, file);
  } catch (cause) {
    signal?.throwIfAborted();
    if (giveUp.signal.aborted) throw failed(url, `did not answer within ${giveUpMs / 1000} s`);
    if (cause instanceof SandboxError) throw cause;
    throw failed(url, `can't be reached (${reasonOf(cause)})`, cause);
  } finally {
    clearTimeout(timer);
    fs.rmSync(unfinished, { force: true });
    await agent.destroy();
  }
}

const failed = (url: string, why: string, cause?: unknown) =>
  new SandboxError('DownloadFailed', `${url} ${why}`, { cause });

function reasonOf(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  return code ?? message;
}

/**
 * Asks only whether somebody is there. Whether to trust them is decided by the tool that goes there next, with its own list of
 * authorities; nothing of the answer is used.
 * @throws SandboxError when the server gives no answer at all, of any status, in time.
 */
export async function answers(url: string, giveUpMs = 10_000): Promise<void> {
  const anyone = { rejectUnauthorized: false };
  const agent = new EnvHttpProxyAgent({ connect: anyone, requestTls: anyone });
  try {
    const response = await request(url, { dispatcher: agent, method: 'HEAD', signal: AbortSignal.timeout(giveUpMs) });
    await response.body.dump();
  } catch (cause) {
    const late = (cause as Error).name === 'TimeoutError';
    throw failed(
      url,
      late ? `did not answer within ${giveUpMs / 1000} s` : `can't be reached (${reasonOf(cause)})`,
      cause,
    );
  } finally {
    await agent.destroy();
  }
}
