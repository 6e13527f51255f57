import { expect } from 'chai';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type * as containerModule from '../../sandbox/kubernetes/container';
import type * as processModule from '../../sandbox/process';
import { referenceTo } from '../../sandbox/application/registry';
import { modulesOf } from '../support/modules';

describe('a container of the sandbox', function () {
  this.timeout(20_000);
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'standby-test-'));
  const modules = modulesOf<{ container: typeof containerModule; process: typeof processModule }>(
    { STANDBY_WORLD: '244', STANDBY_HOME: home },
    { container: 'kubernetes/container', process: 'process' },
  );
  after(async () => {
    await modules.process.stop(() => true);
    fs.rmSync(home, { recursive: true });
  });

  it('ends also when its pod is stopped in the moment in which its process starts', async () => {
    const ending = new AbortController();
    let stopped: Promise<void> | undefined;
    const around = {
      place: {
        cluster: { site: 'prod' },
        pod: { metadata: { name: 'brief', namespace: 'acme' }, spec: {} },
        address: '127.244.10.150',
      },
      ...{ folder: path.join(home, 'pod'), volumes: path.join(home, 'volumes') },
      stopping: ending.signal,
      changed: () => undefined,
      // It is saved right before its process starts.
      save: () => {
        ending.abort();
        stopped ??= container.stop(1);
      },
    } as unknown as containerModule.Surroundings;
    const image = referenceTo('ghcr.io/moodtalk/platform', '1.4.1');
    const spec = { name: 'api', image, command: ['/bin/sleep', '60'] };
    const container = new modules.container.Container(spec, false, around);
    await container.run();
    await stopped;
    expect(stopped).to.not.equal(undefined);
    expect(modules.process.running()).to.deep.equal([]);
  });
});
