/** Kubernetes objects of the tests. */
import { referenceTo } from '../../sandbox/application/registry';

export const image = referenceTo('ghcr.io/moodtalk/platform', '1.4.1');

/** A server that tells what it sees, and says good-bye. `/sick` makes `/healthz` fail. */
const echo = `
const http = require('http');
let sick = false;
const server = http.createServer((request, response) => {
  if (request.url === '/sick') sick = true;
  console.log('asked for ' + request.url);
  response.statusCode = request.url === '/healthz' && sick ? 500 : 200;
  response.end(JSON.stringify({ pod: process.env.HOSTNAME, address: server.address().address, podIp: process.env.POD_IP,
    headers: request.headers, greeting: process.env.GREETING, token: process.env.TOKEN,
    file: process.env.FILE && require('fs').readFileSync(process.env.FILE, 'utf8') }));
}).listen(8080, () => console.log('listening'));
process.on('SIGTERM', () => { console.log('good-bye'); setTimeout(() => process.exit(0), 150); });
`;

export const named = (kind: string, name: string, more: object) => ({
  apiVersion: 'v1',
  kind,
  metadata: { name, namespace: 'default' },
  ...more,
});

export const container = (more: object = {}) => ({
  name: 'main',
  image,
  command: ['node', '-e', echo],
  ports: [{ name: 'http', containerPort: 8080 }],
  ...more,
});

export const pod = (name: string, spec: object) => named('Pod', name, { spec });

export function deployment(name: string, replicas: number, spec: object) {
  const labels = { app: name };
  return {
    ...named('Deployment', name, {
      spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
    }),
    apiVersion: 'apps/v1',
  };
}

export const service = (name: string) =>
  named('Service', name, { spec: { selector: { app: name }, ports: [{ port: 80, targetPort: 'http' }] } });

export const externalService = (name: string, externalName: string) =>
  named('Service', name, { spec: { type: 'ExternalName', externalName, ports: [{ port: 443 }] } });

export const controller = (address: string) => ({
  apiVersion: 'approuting.kubernetes.azure.com/v1alpha1',
  kind: 'NginxIngressController',
  metadata: { name: 'public' },
  spec: {
    ingressClassName: 'public',
    controllerNamePrefix: 'nginx',
    loadBalancerAnnotations: { 'service.beta.kubernetes.io/azure-load-balancer-ipv4': address },
  },
});

export const ingress = (name: string, host: string, port: number, annotations: object = {}) => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'Ingress',
  metadata: { name, namespace: 'default', annotations },
  spec: {
    ingressClassName: 'public',
    rules: [
      {
        host,
        http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name, port: { number: port } } } }] },
      },
    ],
  },
});
