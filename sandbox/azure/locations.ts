/** The vendor's regions and, where there is one, the paired region that geo-redundant copies go to. */
const pairs: readonly (readonly [string, string?])[] = [
  ['westeurope', 'northeurope'],
  ['francecentral', 'francesouth'],
  ['germanywestcentral', 'germanynorth'],
  ['norwayeast', 'norwaywest'],
  ['swedencentral', 'swedensouth'],
  ['switzerlandnorth', 'switzerlandwest'],
  ['uksouth', 'ukwest'],
  ['eastus', 'westus'],
  ['eastus2', 'centralus'],
  ['northcentralus', 'southcentralus'],
  ['westus2', 'westcentralus'],
  ['canadacentral', 'canadaeast'],
  ['australiaeast', 'australiasoutheast'],
  ['eastasia', 'southeastasia'],
  ['japaneast', 'japanwest'],
  ['koreacentral', 'koreasouth'],
  ['centralindia', 'southindia'],
  ['southafricanorth', 'southafricawest'],
  ['uaenorth', 'uaecentral'],
  ['austriaeast'],
  ['belgiumcentral'],
  ['brazilsouth'],
  ['israelcentral'],
  ['italynorth'],
  ['mexicocentral'],
  ['polandcentral'],
  ['qatarcentral'],
  ['spaincentral'],
  ['westus3'],
];

const partner = new Map<string, string | undefined>();
for (const [one, other] of pairs) {
  partner.set(one, other);
  if (other) partner.set(other, one);
}

export const isRegion = (location: string) => partner.has(location);

/** @returns the paired region; undefined when the region has none. */
export const pairedRegion = (location: string) => partner.get(location);
