/**
 * Runs one of PostgreSQL's programs at an operator's place: `node relay.js PROGRAM ARGUMENTS`. Its library can't choose the address
 * that it comes from, so it goes to this process, which the hook has put there. What it says goes through as it is, encrypted.
 */
import { spawn } from 'node:child_process';
import net from 'node:net';

function runAt(port: number | undefined): void {
  const [command = '', ...args] = process.argv.slice(2);
  const { NODE_OPTIONS: _, STANDBY_NET: __, ...env } = process.env;
  const way = port === undefined ? {} : { PGHOSTADDR: '127.0.0.1', PGPORT: String(port) };
  const child = spawn(command, args, { stdio: 'inherit', env: { ...env, ...way } });
  child.on('close', (code) => process.exit(code ?? 1));
}

const { PGHOST, PGHOSTADDR, PGPORT } = process.env;
const host = PGHOSTADDR ?? PGHOST;
// Files and sockets are the same from everywhere.
if (!host || host.startsWith('/')) runAt(undefined);
else {
  const server = net.createServer((near) => {
    const far = net.connect({ host, port: Number(PGPORT ?? 5432) });
    near.pipe(far).pipe(near);
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
  });
  server.listen(0, '127.0.0.1', () => runAt((server.address() as net.AddressInfo).port));
}
