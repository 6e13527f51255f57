/** Keycloak: fetched, built once for PostgreSQL, and started once on a throw-away database to make later starts fast. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { folders } from '../world';
import { cached, digestOf, place } from './cache';
import { fetchArtifact } from './maven';
import type { PostgresTool } from './postgres';
import { rehearse } from './rehearsal';
import { run } from './run';
import { step, type Context } from './step';
import type { KeycloakTool, Tool } from './toolchain';
import { versions } from './versions';

const { version, sha256 } = versions.keycloak;
const artifact = { group: 'org.keycloak', name: 'keycloak-quarkus-dist', version, type: 'tar.gz', sha256 };
const buildOptions = ['--db=postgres', '--health-enabled=true'];
const mainClass = 'io.quarkus.bootstrap.runner.QuarkusEntryPoint';

/** Those of Keycloak's own `kc.sh`, with a heap and a compiler for a short life on a small machine. */
const optionsOf = (home: string): string[] => [
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-Xmx320m',
  '-XX:MaxMetaspaceSize=256m',
  '-XX:+ExitOnOutOfMemoryError',
  '-Dfile.encoding=UTF-8',
  '-Duser.language=en',
  '-Duser.country=US',
  '-Djava.security.egd=file:/dev/urandom',
  '-Djava.util.logging.manager=org.jboss.logmanager.LogManager',
  '-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory',
  '-Dpicocli.disable.closures=true',
  ...['java.util', 'java.util.concurrent', 'java.security', 'java.lang'].map(
    (name) => `--add-opens=java.base/${name}=ALL-UNNAMED`,
  ),
  '--enable-native-access=ALL-UNNAMED',
  `-Dkc.home.dir=${home}`,
  `-Djboss.server.config.dir=${path.join(home, 'conf')}`,
  '-cp',
  path.join(home, 'lib', 'quarkus-run.jar'),
];

async function prepareHome(context: Context, java: Tool): Promise<string> {
  return step(context, 'Keycloak', async (progress) => {
    const { folder, made } = await cached(
      'keycloak',
      digestOf([version, sha256, ...buildOptions]),
      async (unfinished) => {
        const archive = await fetchArtifact(context, artifact, unfinished, progress);
        progress.at('unpacking');
        await run('tar', ['-xzf', archive, '-C', unfinished, '--strip-components=1'], { signal: context.signal });
        if (path.dirname(archive) === unfinished) fs.rmSync(archive);
        progress.at('building it for PostgreSQL');
        await run(path.join(unfinished, 'bin', 'kc.sh'), ['build', ...buildOptions], {
          signal: context.signal,
          env: { JAVA: java.path },
        });
      },
    );
    place(folder, folders.keycloak);
    return [folder, `${version} ${made ? 'fetched and built' : 'found in the cache'}`];
  });
}

export async function prepareKeycloak(
  context: Context,
  java: Promise<Tool>,
  postgres: Promise<PostgresTool>,
): Promise<KeycloakTool> {
  // The options are part of the digest: a cache that is reached by several names is one cache.
  const home = fs.realpathSync(await prepareHome(context, await java));
  const [javaTool, postgresTool] = [await java, await postgres];
  const options = optionsOf(home);
  const digest = digestOf([version, javaTool.version, postgresTool.version, ...options]);
  return step(context, 'Keycloak rehearsal', async (progress) => {
    const { folder, made } = await cached('keycloak-start', digest, (unfinished) =>
      rehearse({
        context,
        java: javaTool.path,
        options,
        mainClass,
        postgresBin: postgresTool.bin,
        folder: unfinished,
        progress,
      }),
    );
    const schema = path.join(folders.cache, 'keycloak-schema.sql');
    place(path.join(folder, 'schema.sql'), schema);
    const archive = path.join(folder, 'classes.jsa');
    const fast = fs.existsSync(archive) ? [`-XX:SharedArchiveFile=${archive}`] : [];
    const what = `schema of an empty database${fast.length ? ' and archive of loaded classes' : ''}`;
    const said = `${what} ${made ? 'made' : 'found in the cache'}`;
    return [{ home, version, options: [...fast, ...options], mainClass, schema }, said];
  });
}
