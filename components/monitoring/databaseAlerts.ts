import { MetricAlert } from '@pulumi/azure-native/monitor/metricAlert';
import * as pulumi from '@pulumi/pulumi';
import { watched, type DatabaseEngine, type MetricRule, type Watched } from '../database/engine';
import { untouched, type Options } from '../options';

export interface DatabaseAlertsArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  /** What the rules' names begin with. */
  readonly label: string;
  readonly metrics: DatabaseEngine['metrics'];
  /** The resource that shows those metrics. */
  readonly observedId: pulumi.Input<string>;
  readonly actionGroupId: pulumi.Input<string>;
  /** Per cent. */
  readonly memoryPercent: pulumi.Input<number>;
  /** Per cent. */
  readonly storagePercent: pulumi.Input<number>;
  /** User load, in connections. */
  readonly connections: pulumi.Input<number>;
  /** It can't be reached: the rules stay as they are. @default - false */
  readonly frozen?: boolean;
}

/** Tells people before memory or storage run out, when users are too many, and at once when the database does not answer. */
export class DatabaseAlerts extends pulumi.ComponentResource {
  readonly ruleNames: pulumi.Output<string>[];

  constructor(name: string, args: DatabaseAlertsArgs, opts?: Options) {
    super('standby:monitoring:DatabaseAlerts', name, {}, opts);
    this.ruleNames = watched.map((what) => alert(this, name, args, what).name);
    this.registerOutputs({ ruleNames: this.ruleNames });
  }
}

/** 0 is critical, 2 a warning. */
const severity: Readonly<Record<Watched, number>> = { memory: 2, storage: 2, connectivity: 0, load: 2 };

function alert(parent: pulumi.Resource, name: string, args: DatabaseAlertsArgs, what: Watched) {
  const { metric, aggregation, operator, threshold }: MetricRule = args.metrics[what];
  const limits = { memory: args.memoryPercent, storage: args.storagePercent, connectivity: 0, load: args.connections };
  return new MetricAlert(
    `${name}-${what}`,
    {
      resourceGroupName: args.resourceGroupName,
      location: 'global',
      ruleName: `${args.label}-${what}`,
      enabled: true,
      severity: severity[what],
      scopes: [args.observedId],
      evaluationFrequency: 'PT1M',
      windowSize: 'PT5M',
      autoMitigate: true,
      criteria: {
        odataType: 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria',
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion',
            name: what,
            metricName: metric,
            timeAggregation: aggregation,
            operator,
            threshold: threshold ?? limits[what],
          },
        ],
      },
      actions: [{ actionGroupId: args.actionGroupId }],
    },
    { parent, ...untouched(args.frozen) },
  );
}
