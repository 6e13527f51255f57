import { ActionGroup } from '@pulumi/azure-native/monitor/actionGroup';
import { DiagnosticSetting } from '@pulumi/azure-native/monitor/diagnosticSetting';
import { Workspace } from '@pulumi/azure-native/operationalinsights/workspace';
import * as pulumi from '@pulumi/pulumi';
import type { Options } from '../options';

export interface SiteMonitoringArgs {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly location: pulumi.Input<string>;
  /** What the names end with: `moodtalk-prod` makes `log-moodtalk-prod`. */
  readonly label: string;
  /** 90 to 730. */
  readonly retentionDays: pulumi.Input<number>;
  /** Mail addresses of the two teams that are told. */
  readonly infrastructure: pulumi.Input<string>;
  readonly security: pulumi.Input<string>;
  /** Resources whose logs are kept, by a short name. */
  readonly sources: Readonly<Record<string, pulumi.Input<string>>>;
}

/** A site's logs, kept long enough for an investigation, and the people who are told when something is wrong. */
export class SiteMonitoring extends pulumi.ComponentResource {
  readonly workspaceId: pulumi.Output<string>;
  readonly actionGroupId: pulumi.Output<string>;

  constructor(name: string, args: SiteMonitoringArgs, opts?: Options) {
    super('standby:monitoring:SiteMonitoring', name, {}, opts);
    const workspace = logs(this, name, args);
    const people = actionGroup(this, name, args);
    for (const [source, id] of Object.entries(args.sources)) collect(this, `${name}-${source}`, id, workspace);

    this.workspaceId = workspace.id;
    this.actionGroupId = people.id;
    this.registerOutputs({ workspaceId: this.workspaceId, actionGroupId: this.actionGroupId });
  }
}

function logs(parent: pulumi.Resource, name: string, args: SiteMonitoringArgs) {
  return new Workspace(
    `${name}-workspace`,
    {
      resourceGroupName: args.resourceGroupName,
      location: args.location,
      workspaceName: `log-${args.label}`,
      sku: { name: 'PerGB2018' },
      retentionInDays: args.retentionDays,
    },
    { parent, protect: true },
  );
}

function actionGroup(parent: pulumi.Resource, name: string, args: SiteMonitoringArgs) {
  const receiver = (who: string, emailAddress: pulumi.Input<string>) => ({
    name: who,
    emailAddress,
    useCommonAlertSchema: true,
  });
  return new ActionGroup(
    `${name}-people`,
    {
      resourceGroupName: args.resourceGroupName,
      location: 'global',
      actionGroupName: `ag-${args.label}`,
      groupShortName: 'standby',
      enabled: true,
      emailReceivers: [receiver('infrastructure', args.infrastructure), receiver('security', args.security)],
    },
    { parent },
  );
}

function collect(parent: pulumi.Resource, name: string, resourceUri: pulumi.Input<string>, workspace: Workspace) {
  return new DiagnosticSetting(
    `${name}-logs`,
    {
      resourceUri,
      name: 'standby',
      workspaceId: workspace.id,
      logs: [{ categoryGroup: 'allLogs', enabled: true }],
      metrics: [{ category: 'AllMetrics', enabled: true }],
    },
    { parent },
  );
}
