import { defineRule, read, type Violation } from '../rule';

export const logRetention = defineRule<{ minimumDays: number }>({
  name: 'log-retention',
  description: 'Logs are kept for three months at least, so that an incident can be investigated',
  standard: 'ISO/IEC 27001:2022 A.8.15 (logging), A.5.28 (collection of evidence)',
  scope: 'resource',
  types: ['azure-native:operationalinsights:Workspace', 'azure-native:operationalinsights:Table'],
  settings: {
    minimumDays: {
      type: 'integer',
      minimum: 90,
      maximum: 730,
      default: 90,
      description: 'a whole number from 90 to 730',
    },
  },
  *check({ type, props }, { minimumDays }): Iterable<Violation> {
    const value = read(props, 'retentionInDays');
    // A table without a retention of its own (unset, or -1) has its workspace's.
    if (type.endsWith(':Table') && (value === undefined || value === -1)) return;
    if (!(Number(value) >= minimumDays))
      yield { property: 'retentionInDays', value, limit: `${minimumDays} days or more` };
  },
});
