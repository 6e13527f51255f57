'use strict';
/**
 * A provider whose cloud is a folder: what was made is a file, and making it twice is refused as the vendor refuses it. A file
 * `hold` keeps every creation waiting after the thing was made; a file `fault` holds what the next call is answered with.
 */
const fs = require('node:fs');
const path = require('node:path');
const provider = require('@pulumi/pulumi/provider');

const folder = process.env.TRIAL_CLOUD;
const fileOf = (id) => path.join(folder, path.basename(id));
const fault = () => {
  const file = path.join(folder, 'fault');
  if (!fs.existsSync(file)) return;
  const text = fs.readFileSync(file, 'utf8');
  fs.rmSync(file);
  throw new Error(text);
};
const released = async () => {
  while (fs.existsSync(path.join(folder, 'hold'))) await new Promise((resolve) => setTimeout(resolve, 50));
};

provider.main(
  {
    version: '1.0.0',
    check: async (_urn, _olds, news) => ({ inputs: news }),
    diff: async (_id, _urn, olds, news) => ({ changes: olds.epoch !== news.epoch }),
    create: async (_urn, inputs) => {
      fault();
      if (fs.existsSync(fileOf(inputs.path))) {
        throw new Error(`cannot create already existing resource '${inputs.path}': import it`);
      }
      fs.writeFileSync(fileOf(inputs.path), JSON.stringify(inputs));
      await released();
      return { id: inputs.path, outs: inputs };
    },
    read: async (id) => {
      const props = JSON.parse(fs.readFileSync(fileOf(id), 'utf8'));
      return { id, props, inputs: props };
    },
    update: async (_id, _urn, _olds, news) => {
      fault();
      return { outs: news };
    },
    delete: async (id) => fs.rmSync(fileOf(id), { force: true }),
  },
  process.argv.slice(2),
);
