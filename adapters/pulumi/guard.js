'use strict';
/**
 * Runs a command that must not outlive who asked for it: when the pipe on standard input ends, because its owner says so or is
 * dead, the command is interrupted, and killed when it does not end soon. What it prints is passed on for as long as somebody reads.
 */
const { spawn } = require('node:child_process');

const graceMs = 10_000;
const [command, ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });

// A reader that died must not break the command in the middle of a write.
for (const [from, to] of [
  [child.stdout, process.stdout],
  [child.stderr, process.stderr],
]) {
  to.on('error', () => from.resume());
  from.pipe(to);
}

child.on('error', (cause) => {
  process.stderr.write(`${cause.code}: ${command}\n`);
  process.exitCode = 127;
});
child.on('close', (code) => {
  process.exitCode ??= code ?? 1;
  process.stdin.destroy();
});

process.stdin.resume();
process.stdin.on('close', () => {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill('SIGINT');
  setTimeout(() => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // it has ended
    }
  }, graceMs).unref();
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.stdin.destroy());
