/** The edge's own error pages, by the vendor's numbers. */
import type * as http from 'node:http';

export interface EdgeFault {
  /** HTTP status. */
  readonly status: number;
  /** The vendor's error number, where it is not the status. */
  readonly code?: number;
  readonly title: string;
}

export const edgeFaults = {
  emptyReply: { status: 520, title: 'Web server is returning an unknown error' },
  refused: { status: 521, title: 'Web server is down' },
  connectTimeout: { status: 522, title: 'Connection timed out' },
  unreachable: { status: 523, title: 'Origin is unreachable' },
  answerTimeout: { status: 524, title: 'A timeout occurred' },
  handshake: { status: 525, title: 'SSL handshake failed' },
  certificate: { status: 526, title: 'Invalid SSL certificate' },
  originName: { status: 530, code: 1016, title: 'Origin DNS error' },
  prohibited: { status: 403, code: 1000, title: 'DNS points to prohibited IP' },
  unknownHost: { status: 409, code: 1001, title: 'DNS resolution error' },
  directAddress: { status: 403, code: 1003, title: 'Direct IP access not allowed' },
} as const satisfies Record<string, EdgeFault>;

const refusals: Readonly<Record<string, EdgeFault>> = {
  ECONNREFUSED: edgeFaults.refused,
  ECONNRESET: edgeFaults.emptyReply,
  EHOSTUNREACH: edgeFaults.unreachable,
  ENETUNREACH: edgeFaults.unreachable,
  EADDRNOTAVAIL: edgeFaults.unreachable,
  EPROTO: edgeFaults.handshake,
  ETIMEDOUT: edgeFaults.connectTimeout,
};

const certificateCodes = /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/;

/** What went wrong with the origin, from Node's error codes. */
export function faultOf(cause: NodeJS.ErrnoException): EdgeFault {
  const code = cause.code ?? '';
  if (certificateCodes.test(code)) return edgeFaults.certificate;
  if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS')) return edgeFaults.handshake;
  return refusals[code] ?? edgeFaults.emptyReply;
}

/** Sends the page, as JSON to those who ask for JSON. */
export function sendFault(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  fault: EdgeFault,
  ray: string,
): void {
  const code = fault.code ?? fault.status;
  const json = request.headers.accept?.includes('json') ?? false;
  const html = `<!DOCTYPE html><html><head><title>${code}: ${fault.title}</title></head><body><h1>Error ${code}</h1><p>${fault.title}</p><p>Ray ID: ${ray}</p></body></html>\n`;
  const body = json
    ? JSON.stringify({
        cloudflare_error: true,
        status: fault.status,
        error_code: code,
        title: fault.title,
        ray_id: ray,
      })
    : html;
  response.writeHead(fault.status, {
    'content-type': json ? 'application/json' : 'text/html; charset=UTF-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    server: 'cloudflare',
    'cf-ray': ray,
  });
  response.end(body);
}
