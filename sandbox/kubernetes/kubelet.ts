/** The part of the kubelet's API that `kubectl logs` needs. TLS both ways: only the API server of the own cluster is answered. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as path from 'node:path';
import type { Cluster } from './cluster';
import { kubeletPort } from './node';
import type { Pods } from './pods';

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'text/plain' }).end(message + '\n');
}

function sendLog(request: IncomingMessage, response: ServerResponse, pods: Pods, url: URL): void {
  const [, , namespace = '', podName = '', containerName = ''] = url.pathname.split('/').map(decodeURIComponent);
  const container = pods.find(namespace, podName)?.container(containerName);
  if (!container) {
    refuse(response, 404, `container ${containerName} of pod ${namespace}/${podName} is not on this node`);
    return;
  }
  const source = container.log(url.searchParams.get('previous') === 'true');
  if (!source || !fs.existsSync(source.file)) {
    refuse(response, 400, `container ${containerName} of pod ${namespace}/${podName} has no log yet`);
    return;
  }
  const following = url.searchParams.get('follow') === 'true' && source.pid !== undefined;
  const lines = url.searchParams.get('tailLines') ?? '+1';
  const follow = following ? ['-f', '-s', '0.2', `--pid=${source.pid}`] : [];
  const tail = spawn('tail', ['-q', '-n', lines, ...follow, source.file], { stdio: ['ignore', 'pipe', 'ignore'] });
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.flushHeaders();
  tail.stdout.pipe(response);
  request.on('close', () => tail.kill());
  response.on('close', () => tail.kill());
}

export async function serveKubelet(cluster: Cluster, pods: Pods): Promise<void> {
  const key = (name: string) => fs.readFileSync(path.join(cluster.folder, 'pki', name));
  const server = https.createServer(
    {
      cert: key('kubelet.crt'),
      key: key('kubelet.key'),
      ca: key('ca.crt'),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      const url = new URL(request.url ?? '/', 'https://kubelet');
      const verb = url.pathname.split('/')[1];
      if (verb === 'containerLogs') sendLog(request, response, pods, url);
      else refuse(response, 501, `the sandbox's node has no "${verb}"; it offers logs only`);
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(kubeletPort, cluster.address, resolve);
  });
}
