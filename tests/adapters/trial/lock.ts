/** Takes the lock of a run and keeps it until it is killed. */
import { createLock } from '../../../adapters/lock/lock';
import { openStore } from '../store';

const container = openStore(process.env);
createLock({ container: () => container })
  .acquire(process.argv[2]!)
  .then(
    () => {
      process.stdout.write('held\n');
      setInterval(() => undefined, 1_000);
    },
    (cause: Error) => process.stdout.write(`${cause.message}\n`),
  );
