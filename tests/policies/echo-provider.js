'use strict';
/**
 * A provider without a cloud: what is asked for is what is there. It serves any package, so that policies meet the real
 * engine. `administratorLogin` can't be changed in place, as at the vendor.
 */
const provider = require('@pulumi/pulumi/provider');

let made = 0;
const changed = (olds, news) =>
  Object.keys(news).filter((key) => JSON.stringify(olds[key]) !== JSON.stringify(news[key]));

provider.main(
  {
    version: '1.0.0',
    check: async (_urn, _olds, news) => ({ inputs: news }),
    diff: async (_id, _urn, olds, news) => ({
      changes: changed(olds, news).length > 0,
      replaces: changed(olds, news).filter((key) => key === 'administratorLogin'),
    }),
    create: async (_urn, inputs) => ({ id: `id-${++made}`, outs: { ...inputs, region: 'westeurope' } }),
    update: async (_id, _urn, _olds, news) => ({ outs: news }),
    delete: async () => {},
  },
  process.argv.slice(2),
);
