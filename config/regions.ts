/**
 * Azure's regions in the European Economic Area (the United Kingdom and Switzerland are outside it), each with the region that
 * its geo-redundant copies go to. A restricted partner takes copies, but opens to a customer only when Azure agrees.
 * A region without a partner can't geo-restore: its second copy is a replica.
 */
export interface Region {
  readonly pair?: string;
  readonly restricted?: true;
}

export const eeaRegions = {
  austriaeast: {},
  belgiumcentral: {},
  denmarkeast: {},
  francecentral: { pair: 'francesouth', restricted: true },
  francesouth: { pair: 'francecentral' },
  germanynorth: { pair: 'germanywestcentral' },
  germanywestcentral: { pair: 'germanynorth', restricted: true },
  italynorth: {},
  northeurope: { pair: 'westeurope' },
  norwayeast: { pair: 'norwaywest', restricted: true },
  norwaywest: { pair: 'norwayeast' },
  polandcentral: {},
  spaincentral: {},
  swedencentral: { pair: 'swedensouth', restricted: true },
  swedensouth: { pair: 'swedencentral' },
  westeurope: { pair: 'northeurope' },
} as const satisfies Readonly<Record<string, Region>>;

export type EeaRegion = keyof typeof eeaRegions;
export const eeaRegionNames = Object.keys(eeaRegions) as EeaRegion[];

/** @returns the region that geo-redundant copies of this one go to; undefined when it takes a replica instead. */
export const pairOf = (region: EeaRegion): string | undefined => (eeaRegions[region] as Region).pair;
