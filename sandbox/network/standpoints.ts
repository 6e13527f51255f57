/** The places of this sandbox's world from which somebody connects. */
import * as path from 'node:path';
import { folders, outside, plan, ports, sites, type Site } from '../world';
import type { Standpoint } from './route';

const canonicalPorts = { 443: ports.https, 80: ports.http };
const beginningOf = (range: string) => range.replace(/\d+\/\d+$/, '');
const world = [...sites.map((site) => beginningOf(plan[site].range)), outside.arm.replace(/\d+$/, '')];

/** Somebody on the internet, with the public resolver. */
export const outsideStandpoint: Standpoint = {
  resolver: `${outside.publicDns}:${ports.dns}`,
  address: outside.client,
  world,
  ports: canonicalPorts,
};

/** Somebody in a site's virtual network, at an address of that site: sees its private zones, leaves by its egress address. */
export const standpointIn = (site: Site, address: string): Standpoint => ({
  resolver: `${plan[site].resolver}:${ports.dns}`,
  address,
  site: beginningOf(plan[site].range),
  world,
  egressFile: path.join(folders.azure, `network-${site}.json`),
  ports: canonicalPorts,
});
