/** Azure's built-in roles, and names for assignments of them. */
import * as pulumi from '@pulumi/pulumi';
import { createHash } from 'node:crypto';

export const roles = {
  reader: 'acdd72a7-3385-48ef-bd42-f606fba81ae7',
  networkContributor: '4d97b98b-1d4f-4787-a291-c67834d212e7',
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe',
} as const;

/** @param scope - id of anything in the subscription that the role is looked up in. */
export const roleDefinition = (scope: pulumi.Input<string>, role: string): pulumi.Output<string> =>
  pulumi
    .output(scope)
    .apply((id) => `/subscriptions/${id.split('/')[2]}/providers/Microsoft.Authorization/roleDefinitions/${role}`);

/**
 * Assignments are named by GUIDs. One that follows from what it assigns is the same in each run, and another one as soon as
 * anything that Azure can't change in place is another.
 */
export const stableGuid = (...parts: pulumi.Input<string>[]): pulumi.Output<string> =>
  pulumi.all(parts).apply((values) => {
    const digest = createHash('sha256').update(values.join('|')).digest();
    digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x80, 6); // version 8: the maker's own scheme
    digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8);
    return digest.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  });
