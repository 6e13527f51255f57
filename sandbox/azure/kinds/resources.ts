/** Resource groups. */
import { normalLocation } from '../context';
import { ArmError, type Kind } from '../kind';
import { isRegion } from '../locations';

const groups: Kind = {
  type: 'Microsoft.Resources/resourceGroups',
  apiVersions: ['2021-04-01', '2022-09-01', '2023-07-01', '2024-03-01', '2024-11-01', '2025-03-01', '2025-04-01'],
  name: /^[-\w.()]{0,89}[-\w()]$/,
  location: 'none', // it has one, with refusals of its own
  model: { package: '@azure/arm-resources', mapper: 'ResourceGroup' },
  patchModel: { package: '@azure/arm-resources', mapper: 'ResourceGroupPatchable' },
  put(ctx, body, previous) {
    const location = normalLocation(body['location'] as string);
    if (!isRegion(location)) {
      const message = `The provided location '${body['location'] as string}' is not available for resource group.`;
      throw new ArmError(400, 'LocationNotAvailableForResourceGroup', message);
    }
    if (previous && previous.location !== location) {
      throw new ArmError(
        409,
        'InvalidResourceGroupLocation',
        `Invalid resource group location '${location}'. The Resource group '${ctx.id.name}' already exists in location '${previous.location}'.`,
      );
    }
    return { ...body, location, properties: { provisioningState: 'Succeeded' } };
  },
};

export const kinds: readonly Kind[] = [groups];
