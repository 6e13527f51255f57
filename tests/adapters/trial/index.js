'use strict';
/** Makes one resource for each epoch; with a name of its own, as the vendor's have. */
const pulumi = require('@pulumi/pulumi');

const config = new pulumi.Config('standby');
const epoch = pulumi.getStack() === 'failover' ? config.requireNumber('epoch') : 1;
let last = [];
for (let number = 1; number <= epoch; number++) {
  const inputs = { path: `/made/${pulumi.getStack()}-${number}`, epoch };
  last = [new pulumi.CustomResource('azure-native:trial:Thing', `thing-${number}`, inputs, { dependsOn: last })];
}
