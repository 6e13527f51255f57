/**
 * How one place in the world reaches another: which loopback address stands for the destination, on which port, and from
 * which source address, so that a firewall rule on the source is real.
 */
import * as fs from 'node:fs';

/** Where somebody stands. JSON, so that it can be handed to a process in one environment variable. */
export interface Standpoint {
  /** The resolver that is asked for every name. */
  readonly resolver: string;
  /** The own address: the source inside the own site, and everywhere else when there is no egress address. */
  readonly address: string;
  /** Begins every address of the own site, `127.0.10.`. @default - outside both sites */
  readonly site?: string;
  /** Beginnings of all addresses that play the world; connections elsewhere are left alone. */
  readonly world: readonly string[];
  /** JSON file that names the site's `egressAddress` once it has one. */
  readonly egressFile?: string;
  /** Canonical ports, and those that stand in for them. */
  readonly ports: Readonly<Record<number, number>>;
}

export interface Route {
  readonly address: string;
  readonly port: number;
  readonly localAddress: string;
}

/**
 * The Kubernetes API refuses loopback addresses as endpoints. So a cluster sees a pod at 10.x.y.z that listens on
 * 127.x.y.z of the machine; these two translate.
 */
export const clusterAddress = (address: string) => address.replace(/^127\./, '10.');
export const machineAddress = (address: string) => address.replace(/^10\./, '127.');

const egressOf = (file: string | undefined): string | undefined => {
  try {
    return file ? (JSON.parse(fs.readFileSync(file, 'utf8')) as { egressAddress?: string }).egressAddress : undefined;
  } catch {
    return undefined; // no NAT gateway yet: traffic leaves from the own address
  }
};

/** @returns undefined for a destination that is not part of the world. */
export function routeTo(from: Standpoint, destination: string, port: number): Route | undefined {
  const address = machineAddress(destination);
  if (!from.world.some((beginning) => address.startsWith(beginning))) return undefined;
  const inside = from.site !== undefined && address.startsWith(from.site);
  return {
    address,
    port: from.ports[port] ?? port,
    localAddress: inside ? from.address : (egressOf(from.egressFile) ?? from.address),
  };
}
