/**
 * Data set `source`: every branch and tag of the configured repositories, as a bundle in the vaults and in a second remote. Nothing
 * is ever rewound or deleted there: who rewrites the first remote does not reach the second.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { compareRefs, parseRefs, type Refs } from '../../../backup/estate/references';
import { mendable, type Difference, type EstateFile, type EstateSet } from '../../../backup/estate/set';
import type { Call } from '../../../backup/ports';
import type { Repository } from '../../../config/estate';
import { StandbyError } from '../../../failover/errors';
import type { AdapterContext } from '../../context';
import { runProgram } from '../program';
import { bytesOf, inFolder, textFile } from './files';

type Environment = AdapterContext['environment'];

const kinds = ['refs/heads/*:refs/heads/*', 'refs/tags/*:refs/tags/*'] as const;
const files = (name: string) => ({ bundle: `${name}.bundle`, refs: `${name}.refs` });

/** What git needs of ours: its credentials' helpers and keys, no more. */
const passed = /^(GIT_|SSH_AUTH_SOCK$|SSL_CERT|HTTPS?_PROXY$|NO_PROXY$|XDG_CONFIG_HOME$)/i;

class Git {
  private readonly env: Readonly<Record<string, string>>;

  constructor(readonly environment: Environment) {
    const ours = Object.entries(environment).filter(([name, value]) => value !== undefined && passed.test(name));
    this.env = { ...(Object.fromEntries(ours) as Record<string, string>), GIT_TERMINAL_PROMPT: '0' };
  }

  /** @throws StandbyError SourceUnread with the end of what git said. */
  async run(args: readonly string[], { signal }: Call): Promise<string> {
    const { stdout } = await runProgram('git', args, { signal, env: this.env, code: 'SourceUnread' });
    return stdout;
  }

  async refs(remote: string, call: Call): Promise<Refs> {
    return parseRefs(await this.run(['ls-remote', '--quiet', '--', remote], call));
  }

  /** Adds branches and tags, and moves branches on. @throws StandbyError SourceRewritten */
  async push(folder: string, remote: string, call: Call): Promise<void> {
    try {
      await this.run(
        ['-C', folder, '-c', 'advice.pushUpdateRejected=false', 'push', '-q', '--', remote, ...kinds],
        call,
      );
    } catch (cause) {
      const { message } = cause as Error;
      if (!/non-fast-forward|fetch first|would clobber|rejected|already exists/i.test(message)) throw cause;
      throw new StandbyError(
        'SourceRewritten',
        `${remote} has commits that the other remote no longer has: somebody rewrote its history; look at both, nothing was rewound (${message.slice(-200)})`,
        { exit: 'person', cause },
      );
    }
  }
}

export const sourceSet = (
  { environment }: Pick<AdapterContext, 'environment'>,
  repositories: readonly Repository[],
): EstateSet => {
  const git = new Git(environment);
  return {
    dataSet: 'source',
    tool: 'git bundle',
    nothing: async () => (repositories.length === 0 ? 'standby:backup.estate.repositories is empty' : undefined),
    collect: async (call) => {
      const all: EstateFile[] = [];
      for (const repository of repositories) all.push(...(await collect(git, repository, call)));
      return all;
    },
    compare: async (kept, call) =>
      (await Promise.all(repositories.map((repository) => compare(git, repository, kept, call)))).flat(),
    restore: async (kept, call) => {
      const done: string[] = [];
      for (const repository of repositories) done.push(...(await restore(git, repository, kept, call)));
      return done;
    },
  };
};

/** Taken, mirrored, and compared by commit on both sides before it counts. */
async function collect(git: Git, { name, from, mirror }: Repository, call: Call): Promise<readonly EstateFile[]> {
  call.progress(`repository ${name}`);
  return inFolder('source', git.environment, async (folder) => {
    const [copy, bundle] = [path.join(folder, 'copy'), path.join(folder, 'bundle')];
    await git.run(['clone', '--quiet', '--mirror', '--', from, copy], call);
    const refs = parseRefs(await git.run(['-C', copy, 'show-ref'], call));
    const head = (await git.run(['-C', copy, 'symbolic-ref', 'HEAD'], call)).trim();
    await git.push(copy, mirror, call);
    const [wrong] = mendable(compareRefs(refs, await git.refs(mirror, call), 'the mirror'));
    if (wrong) {
      throw new StandbyError('MirrorDiffers', `${name}: ${wrong.what} is ${wrong.how} (${wrong.detail}): try again`, {
        retryable: true,
      });
    }
    const names = files(name);
    // With a HEAD, who has nothing but the bundle clones it and sees files.
    const which = [...(refs.has(head) ? ['HEAD'] : []), '--branches', '--tags'];
    await git.run(['-C', copy, 'bundle', 'create', '--quiet', bundle, ...which], call);
    await git.run(['-C', copy, 'bundle', 'verify', '--quiet', bundle], call);
    return [
      { name: names.bundle, bytes: fs.readFileSync(bundle) },
      textFile(names.refs, [...refs].map(([ref, commit]) => `${commit}\t${ref}\n`).join('')),
    ];
  });
}

async function compare(git: Git, repository: Repository, kept: readonly EstateFile[], call: Call) {
  const refs = parseRefs(bytesOf(kept, files(repository.name).refs).toString('utf8'));
  const sides = (['from', 'mirror'] as const).map(async (side): Promise<readonly Difference[]> => {
    const where = side === 'from' ? repository.name : `the mirror of ${repository.name}`;
    return compareRefs(refs, await git.refs(repository[side], call), where);
  });
  return (await Promise.all(sides)).flat();
}

/** Into remotes that lack what the backup has: never over what was pushed since. */
async function restore(git: Git, repository: Repository, kept: readonly EstateFile[], call: Call) {
  const names = files(repository.name);
  const refs = parseRefs(bytesOf(kept, names.refs).toString('utf8'));
  return inFolder('source', git.environment, async (folder) => {
    const [copy, bundle] = [path.join(folder, 'copy'), path.join(folder, 'bundle')];
    fs.writeFileSync(bundle, bytesOf(kept, names.bundle), { mode: 0o600 });
    await git.run(['clone', '--quiet', '--mirror', '--', bundle, copy], call);
    const unpacked = parseRefs(await git.run(['-C', copy, 'show-ref'], call));
    const [wrong] = mendable(compareRefs(refs, unpacked, 'the bundle'));
    if (wrong)
      throw new StandbyError('BackupCorrupt', `${names.bundle}: ${wrong.what} is ${wrong.how}: take an older one`);
    const done: string[] = [];
    for (const side of ['from', 'mirror'] as const) {
      const there = await git.refs(repository[side], call);
      const lacking = [...refs].filter(([ref]) => !there.has(ref));
      if (lacking.length === 0) continue;
      call.progress(`${lacking.length} refs to ${side} of ${repository.name}`);
      const specs = lacking.map(([ref]) => `${ref}:${ref}`);
      await git.run(['-C', copy, 'push', '--quiet', '--', repository[side], ...specs], call);
      done.push(
        `${lacking.length} refs of ${repository.name} pushed to ${side === 'from' ? 'its remote' : 'the mirror'}`,
      );
    }
    return done;
  });
}
