import { expect } from 'chai';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { download } from '../../sandbox/bootstrap/download';
import { folder, removeFolders } from './support';

const content = 'the pinned file';
const sha256 = createHash('sha256').update(content).digest('hex');
const head = `HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\nConnection: close\r\n\r\n`;

/** A server that accepts, and then says no more than this. */
async function serverThatSays(text: string): Promise<{ url: string; close: () => void }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    if (text) socket.write(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}/file`, close };
}

async function attempt(
  says: string,
  pin = sha256,
): Promise<{ fault: string; seconds: number; files: string[]; where: string }> {
  const server = await serverThatSays(says);
  const where = folder();
  const began = Date.now();
  const fault = await download({ url: server.url, file: path.join(where, 'file'), sha256: pin, giveUpMs: 400 }).then(
    () => '',
    (cause: Error) => cause.message,
  );
  server.close();
  return { fault, seconds: (Date.now() - began) / 1000, files: fs.readdirSync(where), where };
}

describe('a download', () => {
  after(removeFolders);

  it('is there when its content is what is pinned', async () => {
    const { fault, files, where } = await attempt(head + content);
    expect([fault, files]).to.deep.equal(['', ['file']]);
    expect(fs.readFileSync(path.join(where, 'file'), 'utf8')).to.equal(content);
  });

  it('is given up in time when the server accepts and stays silent', async () => {
    const { fault, seconds, files } = await attempt('');
    expect(fault).to.match(/^http:\S+ did not answer within 0\.4 s$/);
    expect(seconds).to.be.within(0.3, 2);
    expect(files).to.deep.equal([]);
  });

  it('is given up in time when the server falls silent half-way', async () => {
    const { fault, seconds, files } = await attempt(head + content.slice(0, 5));
    expect(fault).to.contain('did not answer within 0.4 s');
    expect(seconds).to.be.within(0.3, 2);
    expect(files).to.deep.equal([]);
  });

  it('is refused, and not kept, when its content is not what is pinned', async () => {
    const { fault, files } = await attempt(head + content, 'f'.repeat(64));
    expect(fault).to.contain(`has SHA-256 ${sha256}, but ${'f'.repeat(64)} is pinned`);
    expect(files).to.deep.equal([]);
  });

  it('says the status when the server refuses', async () => {
    const { fault } = await attempt('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
    expect(fault).to.match(/answered with status 403$/);
  });
});
