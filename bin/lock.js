'use strict';
/**
 * One at a time, across processes. The lock is a socket without a file: the kernel frees it when its holder ends,
 * however that happens, so there is no stale lock to judge.
 */
const { createHash } = require('node:crypto');
const net = require('node:net');

/**
 * @param {string} what path of the thing that is locked
 * @param {(pid: string) => void} waiting told once, with the holder's process id, when it is held by somebody else
 * @returns {Promise<() => void>} releases it
 */
function lock(what, waiting) {
  const address = `\0standby-${createHash('sha256').update(what).digest('hex')}`;
  let told = false;
  return new Promise((resolve, reject) => {
    const attempt = () => {
      const guests = new Set();
      const server = net.createServer((guest) => {
        guests.add(guest.on('error', () => guest.destroy()));
        guest.unref().write(String(process.pid));
      });
      const release = () => {
        server.close();
        for (const guest of guests) guest.destroy();
      };
      server.once('error', (cause) => (cause.code === 'EADDRINUSE' ? wait() : reject(cause)));
      server.listen(address, () => resolve(release)).unref();
    };
    const wait = () => {
      const holder = net.connect(address);
      holder.on('data', (pid) => {
        if (!told) waiting(String(pid));
        told = true;
      });
      holder.on('error', () => holder.destroy());
      holder.once('close', attempt);
    };
    attempt();
  });
}

module.exports = { lock };
