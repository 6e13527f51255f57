/** Firewall rules are ranges, pg_hba.conf speaks in networks. */
import type { IpRange } from './record';

const toNumber = (address: string) => address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
const toAddress = (value: number) => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');

export const isOrdered = (range: IpRange) => toNumber(range.start) <= toNumber(range.end);

/** @returns the fewest networks (CIDR) that cover exactly the range. */
export function cover(range: IpRange): string[] {
  const networks: string[] = [];
  let next = toNumber(range.start);
  const last = toNumber(range.end);
  while (next <= last) {
    let bits = 0;
    while (bits < 32 && next % 2 ** (bits + 1) === 0 && next + 2 ** (bits + 1) - 1 <= last) bits += 1;
    networks.push(`${toAddress(next)}/${32 - bits}`);
    next += 2 ** bits;
  }
  return networks;
}

/** @returns whether a range and a network (CIDR) have an address in common. */
export function overlaps(range: IpRange, network: string): boolean {
  const [base = '', bits = '32'] = network.split('/');
  const first = toNumber(base);
  const last = first + 2 ** (32 - Number(bits)) - 1;
  return toNumber(range.start) <= last && toNumber(range.end) >= first;
}
