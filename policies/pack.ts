/** The policies as the engine runs them: `pulumi up --policy-pack policies --policy-pack-config policies/profiles/moodtalk.json`. */
import { PolicyPack } from '@pulumi/policy';
import { toPulumi } from './pulumi';
import { rules } from './rules';

new PolicyPack('standby', { enforcementLevel: 'mandatory', policies: rules.map(toPulumi) });
