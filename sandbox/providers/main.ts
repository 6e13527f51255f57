/**
 * The stand-ins for the provider plugins, all in one process. The engine is pointed at them by
 * `PULUMI_DEBUG_PROVIDERS="azure-native:PORT,cloudflare:PORT,kubernetes:PORT,random:PORT"`.
 */
import { providerPorts } from '../world';
import type { Plugin } from './plugin';
import { azureNative } from './azure-native';
import { cloudflare } from './cloudflare';
import { kubernetes } from './kubernetes';
import { random } from './random';
import { listen } from './server';

const plugins: readonly Plugin[] = [azureNative, cloudflare, kubernetes, random];

async function main(): Promise<void> {
  const servers = await Promise.all(
    plugins.map((plugin) => listen(plugin, providerPorts[plugin.name as keyof typeof providerPorts])),
  );
  process.once('SIGTERM', () => {
    for (const server of servers) server.close();
    process.exit(0);
  });
  process.stdout.write(`${JSON.stringify({ ready: true, ports: servers.map((server) => server.port) })}\n`);
}

if (require.main === module) {
  main().catch((cause: unknown) => {
    process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`);
    process.exit(1);
  });
}
