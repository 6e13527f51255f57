'use strict';
/**
 * How the engine starts a program made from Pulumi's TypeScript template: the options are those of `cmd/run` of @pulumi/pulumi
 * (type-checked, nodenext); `strict` is the template's. Only `target` is this program's, whose library it needs.
 */
require('@pulumi/pulumi');
require('ts-node').register({
  compiler: 'typescript',
  transpileOnly: false,
  skipProject: true,
  compilerOptions: {
    target: 'ES2023',
    module: 'nodenext',
    moduleResolution: 'nodenext',
    sourceMap: true,
    strict: true,
  },
});
require('../../stacks/index.ts');
