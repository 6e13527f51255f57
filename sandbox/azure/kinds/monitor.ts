/** Logs and alerts: recorded and checked, nothing is measured behind them. */
import { randomBytes } from 'node:crypto';
import { ArmError, type ArmContent, type Context, type Json, type Kind } from '../kind';
import { guid, needReferenced, now, succeeded } from './common';

const insights = (mapper: string) => ({ package: '@azure/arm-monitor', mapper });
const logs = (mapper: string) => ({ package: '@azure/arm-operationalinsights', mapper });

const workspaceSkus = [
  'PerGB2018',
  'CapacityReservation',
  'LACluster',
  'Free',
  'PerNode',
  'Standalone',
  'Standard',
  'Premium',
];

const workspaces: Kind = {
  type: 'Microsoft.OperationalInsights/workspaces',
  // 2020-08-01 is what the vendor's client asks for shared keys with.
  apiVersions: ['2020-08-01', '2021-06-01', '2022-10-01', '2023-09-01', '2025-02-01'],
  name: /^[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]$/,
  location: 'required',
  etag: true,
  model: logs('Workspace'),
  patchModel: logs('WorkspacePatch'),
  rules: [
    { path: 'properties.sku.name', oneOf: workspaceSkus, initial: 'PerGB2018' },
    { path: 'properties.retentionInDays', min: 30, max: 730, initial: 30 },
    { path: 'properties.publicNetworkAccessForIngestion', oneOf: ['Enabled', 'Disabled'], initial: 'Enabled' },
    { path: 'properties.publicNetworkAccessForQuery', oneOf: ['Enabled', 'Disabled'], initial: 'Enabled' },
  ],
  put(ctx, body, previous) {
    for (const key of ['primarySharedKey', 'secondarySharedKey']) {
      if (!ctx.secrets.get(key)) ctx.secrets.set(key, randomBytes(64).toString('base64'));
    }
    const createdDate = previous?.properties['createdDate'] ?? now();
    return succeeded(body, { customerId: guid('workspace', ctx.id.id), createdDate, modifiedDate: now() });
  },
  actions: {
    sharedKeys: ({ secrets }) => ({
      primarySharedKey: secrets.get('primarySharedKey'),
      secondarySharedKey: secrets.get('secondarySharedKey'),
    }),
  },
};

const sinks = [
  'workspaceId',
  'storageAccountId',
  'eventHubAuthorizationRuleId',
  'serviceBusRuleId',
  'marketplacePartnerId',
];

const diagnosticSettings: Kind = {
  type: 'Microsoft.Insights/diagnosticSettings',
  apiVersions: ['2017-05-01-preview', '2021-05-01-preview'],
  name: /^[^<>*%&:\\?+/]{1,260}$/,
  location: 'none',
  createdStatus: 200,
  // The model is that of 2017-05-01-preview; these came with 2021-05-01-preview.
  model: {
    ...insights('DiagnosticSettingsResource'),
    allow: ['properties.logs[].categoryGroup', 'properties.marketplacePartnerId'],
  },
  put(ctx, body) {
    const named = sinks.map((sink) => body.properties[sink]).filter((id): id is string => typeof id === 'string');
    if (named.length === 0) {
      throw new ArmError(400, 'BadRequest', `A diagnostic setting needs a sink; allowed: ${sinks.join(', ')}.`);
    }
    for (const sink of sinks.slice(0, 2)) {
      const id = body.properties[sink];
      if (typeof id === 'string') needReferenced(ctx, id, `properties.${sink}`);
    }
    const streams = ['logs', 'metrics'].flatMap((member) => (body.properties[member] as Json[] | undefined) ?? []);
    if (!streams.some((stream) => stream['enabled'] === true)) {
      throw new ArmError(
        400,
        'BadRequest',
        'A diagnostic setting needs at least one enabled category of logs or metrics.',
      );
    }
    return body;
  },
  inList: (resource, scope) =>
    resource.id.toLowerCase().startsWith(`${scope.toLowerCase()}/providers/microsoft.insights/`),
};

const frequencies = ['PT1M', 'PT5M', 'PT15M', 'PT30M', 'PT1H'];
const windows = [...frequencies, 'PT6H', 'PT12H', 'P1D'];
const operators = ['Equals', 'GreaterThan', 'GreaterThanOrEqual', 'LessThan', 'LessThanOrEqual'];
const aggregations = ['Average', 'Count', 'Minimum', 'Maximum', 'Total'];

function checkCriteria(body: ArmContent): void {
  const { allOf = [] } = body.properties['criteria'] as { readonly allOf?: readonly Json[] };
  if (allOf.length === 0)
    throw new ArmError(400, 'BadRequest', "'properties.criteria.allOf' is empty; an alert needs a criterion.");
  for (const [index, criterion] of allOf.entries()) {
    const dynamic = criterion['criterionType'] === 'DynamicThresholdCriterion';
    const checks = [...(dynamic ? [] : [['operator', operators] as const]), ['timeAggregation', aggregations] as const];
    for (const [member, allowed] of checks) {
      if (!allowed.includes(String(criterion[member]))) {
        const message = `'properties.criteria.allOf[${index}].${member}' is ${JSON.stringify(criterion[member])}; allowed: ${allowed.join(', ')}.`;
        throw new ArmError(400, 'BadRequest', message);
      }
    }
  }
}

const metricAlerts: Kind = {
  type: 'Microsoft.Insights/metricAlerts',
  apiVersions: ['2018-03-01', '2024-03-01-preview'],
  name: /^[^<>*%&:\\?+/#{}]{1,260}$/,
  location: 'global',
  createdStatus: 200,
  model: insights('MetricAlertResource'),
  patchModel: insights('MetricAlertResourcePatch'),
  rules: [
    { path: 'properties.severity', min: 0, max: 4 },
    { path: 'properties.evaluationFrequency', oneOf: frequencies },
    { path: 'properties.windowSize', oneOf: windows },
    { path: 'properties.criteria', required: true },
    { path: 'properties.autoMitigate', initial: true },
  ],
  put(ctx, body) {
    checkCriteria(body);
    const { scopes, actions = [] } = body.properties as {
      readonly scopes: readonly string[];
      readonly actions?: readonly Json[];
    };
    if (scopes.length === 0)
      throw new ArmError(400, 'BadRequest', "'properties.scopes' is empty; an alert needs a resource to watch.");
    for (const scope of scopes) needReferenced(ctx, scope, 'properties.scopes');
    for (const action of actions) needReferenced(ctx, String(action['actionGroupId']), 'properties.actions');
    return body;
  },
};

function checkReceivers(ctx: Context, body: ArmContent): void {
  const receivers = Object.entries(body.properties)
    .filter(([member]) => member.endsWith('Receivers'))
    .flatMap(([, value]) => value as readonly Json[]);
  const names = receivers.map((receiver) => receiver['name']);
  const twice = names.find((each, index) => names.indexOf(each) !== index);
  if (twice !== undefined) {
    throw new ArmError(
      400,
      'ReceiverNamesNotUnique',
      `The receiver name ${JSON.stringify(twice)} is used twice in the action group '${ctx.id.name}'.`,
    );
  }
  for (const receiver of (body.properties['emailReceivers'] as readonly Json[] | undefined) ?? []) {
    if (/^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(String(receiver['emailAddress']))) continue;
    throw new ArmError(
      400,
      'InvalidEmailAddress',
      `The e-mail address ${JSON.stringify(receiver['emailAddress'])} of a receiver is not valid.`,
    );
  }
}

const actionGroups: Kind = {
  type: 'Microsoft.Insights/actionGroups',
  apiVersions: ['2021-09-01', '2023-01-01', '2024-10-01-preview'],
  name: /^[^<>*%&:\\?+/]{1,260}$/,
  location: 'global',
  model: insights('ActionGroupResource'),
  patchModel: insights('ActionGroupPatchBody'),
  rules: [
    { path: 'properties.groupShortName', required: true },
    { path: 'properties.enabled', initial: true },
  ],
  put(ctx, body) {
    checkReceivers(ctx, body);
    const receivers = ((body.properties['emailReceivers'] as readonly Json[] | undefined) ?? []).map((each) => ({
      status: 'Enabled',
      ...each,
    }));
    return {
      ...body,
      properties: { ...body.properties, ...(receivers.length > 0 ? { emailReceivers: receivers } : {}) },
    };
  },
};

export const kinds: readonly Kind[] = [workspaces, diagnosticSettings, metricAlerts, actionGroups];
