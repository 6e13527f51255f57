/** Combinations that no failover may bring about, each refused with its reason before anything is touched. Pure. */
import type { Recovery, Switch } from './failover';
import { otherSite } from './fields';
import type { Issue } from './issues';
import {
  builtServer,
  chosen,
  isGeoRedundant,
  lostCluster,
  lostSite,
  nextWork,
  productionServers,
  recoveredServer,
  type ServerPlan,
} from './servers';

/** @returns everything that is wrong with the switch; empty when it may be thrown. */
export function validateSwitch(config: Switch): Issue[] {
  return [
    ...activeSiteIssues(config),
    ...stageIssues(config),
    ...choiceIssues('database', config),
    ...choiceIssues('identity', config),
    ...config.recoveries.flatMap((recovery, index) => recoveryIssues(config, recovery, index)),
    ...lossIssues(config),
  ];
}

function activeSiteIssues(config: Switch): Issue[] {
  const lost = lostCluster(config);
  if (lost !== config.activeSite) return [];
  const other = otherSite(lost);
  return [
    {
      key: 'activeSite',
      got: config.activeSite,
      allowed: `${other}, while unreachable is ${config.unreachable}`,
      fix: `the business can't run where nobody gets to: set activeSite to ${other}, or unreachable to none when ${lost} answers`,
    },
  ];
}

/** In the first epoch nothing has changed its role yet: a stage would only stop what is built. */
const stageIssues = ({ stage, epoch }: Switch): Issue[] =>
  stage === 'complete' || epoch > 1
    ? []
    : [
        {
          key: 'stage',
          got: stage,
          allowed: 'complete, while epoch is 1',
          fix: 'a change of role raises epoch: raise it, or remove stage',
        },
      ];

function choiceIssues(key: 'database' | 'identity', config: Switch): Issue[] {
  const got = config[key];
  const refuse = (allowed: string, fix: string): Issue[] => [{ key, got, allowed, fix }];
  if (got === 'restored' && config.activeSite === 'prod') {
    return refuse(
      'prod, while activeSite is prod',
      'PROD does not work on what was restored into INTG: add a recovery at prod (method replica, from the restored server) and set it to prod',
    );
  }
  const name = chosen(got, config);
  const server = productionServers(config).find((one) => one.name === name);
  if (!server) {
    return refuse(
      'prod, while recoveries has no entry with site intg',
      `add {epoch: ${config.epoch}, site: intg, method: geoRestore, from: ${builtServer(config.company, 'prod')}} to recoveries`,
    );
  }
  if (lostSite(config) === server.site) {
    return refuse(
      `a server outside ${server.site}, while unreachable is ${server.site}`,
      server.site === 'prod'
        ? 'set it to restored, with a recovery at intg'
        : 'set unreachable to none when the site answers',
    );
  }
  return heldBack(key, config, server);
}

/** Nobody can work on a replica that still follows its source. */
function heldBack(key: 'database' | 'identity', config: Switch, { name, recovery }: ServerPlan): Issue[] {
  if (recovery?.method !== 'replica' || recovery.promoted === true) return [];
  return [
    {
      key: `recoveries[${config.recoveries.indexOf(recovery)}].promoted`,
      ...(recovery.promoted === undefined ? {} : { got: recovery.promoted }),
      allowed: `true, while ${key} is ${config[key]}`,
      fix: `${name} only follows its source: set promoted to true in the same update, or choose another ${key}`,
    },
  ];
}

/** @returns what is allowed but deserves a second look, one line each. */
export function cautions(config: Switch): string[] {
  return [...promotionCautions(config), ...stageCautions(config)];
}

function stageCautions(config: Switch): string[] {
  const next = config.prepared && config.stage === 'complete' ? nextWork(config) : undefined;
  return [
    ...(config.stage === 'complete'
      ? []
      : [
          `stage is ${config.stage}: the change of role to ${config.activeSite} is not complete, the names stay where they are`,
        ]),
    ...(typeof next === 'string' ? [`prepared is true, and nothing is prepared: ${next}`] : []),
  ];
}

function promotionCautions(config: Switch): string[] {
  const lost = lostSite(config);
  return productionServers(config).flatMap(({ name, recovery, database, identity }) =>
    lost &&
    (database || identity) &&
    recovery?.promoted &&
    recovery.promotion !== 'forced' &&
    siteOf(recovery.from, config) === lost
      ? [
          `${name} is promoted as planned, which waits for ${recovery.from}; if that has not happened before ${lost} was lost, ` +
            `set recoveries[${config.recoveries.indexOf(recovery)}].promotion to forced: what had not arrived is lost`,
        ]
      : [],
  );
}

const siteOf = (server: string, config: Switch) =>
  server === builtServer(config.company, 'intg')
    ? 'intg'
    : productionServers(config).find((one) => one.name === server)?.site;

function recoveryIssues(config: Switch, recovery: Recovery, index: number): Issue[] {
  const at = `recoveries[${index}]`;
  const previous = config.recoveries[index - 1];
  const issues: Issue[] = [];
  if (previous && recovery.epoch < previous.epoch) {
    issues.push({
      key: `${at}.epoch`,
      got: recovery.epoch,
      allowed: `at least ${previous.epoch}, the epoch of the entry before it`,
      fix: 'oldest first: add new entries at the end, with the current epoch',
    });
  }
  const { site, epoch } = recovery;
  if (config.recoveries.findIndex((other) => other.site === site && other.epoch === epoch) < index) {
    issues.push({
      key: `${at}.epoch`,
      got: epoch,
      allowed: `an epoch in which nothing else was made at ${site}`,
      fix: 'site and epoch are the name of the server: raise epoch, and use it here',
    });
  }
  if (recovery.epoch > config.epoch) {
    issues.push({
      key: `${at}.epoch`,
      got: recovery.epoch,
      allowed: `at most ${config.epoch}, the value of epoch`,
      fix: `set it to ${config.epoch}, or raise epoch`,
    });
  }
  const replicaOnly = (['promoted', 'promotion'] as const).filter((key) => recovery[key] !== undefined);
  for (const key of recovery.method === 'replica' ? [] : replicaOnly) {
    issues.push({
      key: `${at}.${key}`,
      got: recovery[key],
      allowed: `nothing, for method ${recovery.method}`,
      fix: 'remove it: a restored server stands alone from the start',
    });
  }
  if (recovery.method === 'pointInTimeRestore' && recovery.pointInTime === undefined) {
    issues.push({
      key: `${at}.pointInTime`,
      allowed: 'a time in UTC, for method pointInTimeRestore',
      fix: 'write the second to go back to: `standby restore --find-clean` names the last clean one',
    });
  }
  if ((recovery.method === 'import' || recovery.method === 'replica') && recovery.pointInTime !== undefined) {
    issues.push({
      key: `${at}.pointInTime`,
      got: recovery.pointInTime,
      allowed: `nothing, for method ${recovery.method}`,
      fix:
        recovery.method === 'replica'
          ? 'remove it: a replica follows its source to the end'
          : 'remove it: an import has the time of its backups',
    });
  }
  return [
    ...issues,
    ...backupIssues(recovery, at),
    ...sourceIssues(config, recovery, index),
    ...reachIssues(config, recovery, at),
    ...idleIssues(config, recovery, at),
  ];
}

/** An import says what it is filled from; whatever is made from another server has that one's rows. */
function backupIssues({ method, backups }: Recovery, at: string): Issue[] {
  const key = `${at}.backups`;
  if (method !== 'import') {
    return backups === undefined
      ? []
      : [{ key, got: backups, allowed: `nothing, for method ${method}`, fix: 'remove it, or set method to import' }];
  }
  if (Object.keys(backups ?? {}).some((dataSet) => dataSet.startsWith('database/'))) return [];
  return [
    {
      key,
      ...(backups === undefined ? {} : { got: backups }),
      allowed: 'the id of a backup of one database or more, for method import',
      fix: 'add database/NAME with an id that `standby backup list` shows as restored, and identity with one of `standby estate list`',
    },
  ];
}

/** What a recovery may be made from. */
function sourceIssues(config: Switch, recovery: Recovery, index: number): Issue[] {
  const key = `recoveries[${index}].from`;
  const refuse = (allowed: string, fix: string): Issue[] => [{ key, got: recovery.from, allowed, fix }];
  const own = builtServer(config.company, 'prod');
  const earlier = config.recoveries.slice(0, index);
  const names = [own, ...earlier.map((one) => recoveredServer(config.company, one))];
  if (!names.includes(recovery.from)) {
    return refuse(names.join(', '), 'name a server that holds production data and is older than this entry');
  }
  const source = earlier.find((one) => recoveredServer(config.company, one) === recovery.from);
  const sourceSite = source?.site ?? 'prod';
  if (recovery.method === 'pointInTimeRestore' && sourceSite !== recovery.site) {
    return refuse(
      `a server at ${recovery.site}, for method pointInTimeRestore`,
      `Azure restores to a second in the server's own region alone: set site to ${sourceSite}, or method to geoRestore`,
    );
  }
  if (recovery.method !== 'pointInTimeRestore' && sourceSite === recovery.site) {
    return refuse(
      `a server at ${otherSite(recovery.site)}`,
      `a copy in the same region does not outlive it: set site to ${otherSite(sourceSite)}, or another source`,
    );
  }
  if (source && !isGeoRedundant(source) && recovery.method === 'geoRestore') {
    return refuse(
      'a server that has geo-redundant backups',
      `${recovery.from} was made by ${source.method}, which gives it none: use method replica, or import`,
    );
  }
  if (source?.method === 'replica' && source.promoted !== true) {
    return refuse(
      'a server that stands alone',
      `${recovery.from} only follows its own source: work on it first, with promoted: true`,
    );
  }
  return [];
}

/** Nothing is made at a site that nobody can reach, nor streamed from one. */
function reachIssues(config: Switch, recovery: Recovery, at: string): Issue[] {
  const lost = lostSite(config);
  if (!lost || recovery.epoch !== config.epoch) return [];
  const other = otherSite(lost);
  if (recovery.site === lost) {
    return [
      {
        key: `${at}.site`,
        got: recovery.site,
        allowed: `${other}, while unreachable is ${lost}`,
        fix: `nothing can be made at ${lost} now: if it is there already, raise epoch; else remove the entry until ${lost} answers`,
      },
    ];
  }
  if (recovery.method === 'replica' && siteOf(recovery.from, config) === lost) {
    return [
      {
        key: `${at}.method`,
        got: recovery.method,
        allowed: `geoRestore, while unreachable is ${lost}`,
        fix: `${recovery.from} can't be streamed from: restore its last backup instead`,
      },
    ];
  }
  return [];
}

/** A replica that left its source, and that nobody works on, takes nobody's rows any more. */
function idleIssues(config: Switch, recovery: Recovery, at: string): Issue[] {
  if (recovery.promoted !== true) return [];
  const name = recoveredServer(config.company, recovery);
  const server = productionServers(config).find((one) => one.name === name);
  const followed = config.recoveries.some((later) => later.from === name && later.epoch > recovery.epoch);
  if (followed || server?.database || server?.identity || recovery.abandoned) return [];
  return [
    {
      key: `${at}.promoted`,
      got: true,
      allowed: 'absent, while neither database nor identity works on it',
      fix: `set activeSite, database and identity so that ${name} is worked on, in the same update; or remove promoted`,
    },
  ];
}

/**
 * Rows must not be left behind: once a restored server has been worked on, a return to what is older needs either a server made
 * from it, or a person who gives those rows up.
 */
function lossIssues(config: Switch): Issue[] {
  const servers = productionServers(config);
  const current = servers.find((server) => server.database);
  const since = current?.recovery?.epoch ?? 0;
  return servers.flatMap(({ name, recovery, database, identity }): Issue[] => {
    const newer = recovery && recovery.method !== 'replica' && recovery.epoch > since && recovery.epoch < config.epoch;
    if (!current || !recovery || !newer || database || identity || recovery.abandoned) return [];
    const back = `{epoch: ${config.epoch}, site: ${otherSite(recovery.site)}, method: replica, from: ${name}}`;
    return [
      {
        key: 'database',
        got: config.database,
        allowed: `a server made from ${name}; ${current.name} is older than it`,
        fix: `the rows written on ${name} would be left behind: add ${back} to recoveries first, or give them up with recoveries[${config.recoveries.indexOf(recovery)}].abandoned`,
      },
    ];
  });
}
