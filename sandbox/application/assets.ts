/** app static: the files that the other applications' pages use. They are part of the release, so there is no folder to mount. */
import { createHash } from 'node:crypto';
import type { Handler, Handlers } from './http';

const files: Readonly<Record<string, readonly [type: string, content: string]>> = {
  '/assets/moodtalk.css': [
    'text/css; charset=utf-8',
    ':root{--ink:#1d2b36;--mood:#0a7f6f}body{color:var(--ink);font:16px/1.5 system-ui}a{color:var(--mood)}\n',
  ],
  '/assets/moodtalk.svg': [
    'image/svg+xml',
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><circle cx="12" cy="12" r="11" fill="#0a7f6f"/>' +
      '<path d="M7 14q5 5 10 0" fill="none" stroke="#fff" stroke-width="2"/></svg>\n',
  ],
  '/robots.txt': ['text/plain; charset=utf-8', 'User-agent: *\nDisallow:\n'],
};

function handlerOf(type: string, content: string): Handler {
  const etag = `"${createHash('sha256').update(content).digest('hex').slice(0, 32)}"`;
  const headers = { 'content-type': type, etag, 'cache-control': 'public, max-age=300' };
  return (request) => {
    const known = (request.headers['if-none-match'] ?? '').split(',').map((one) => one.trim().replace(/^W\//, ''));
    return known.includes(etag) || known.includes('*')
      ? { status: 304, headers }
      : { status: 200, headers, body: content };
  };
}

export const assetHandlers: Handlers = Object.fromEntries(
  Object.entries(files).map(([path, [type, content]]) => [`GET ${path}`, handlerOf(type, content)]),
);
