/** /zones/:zone/rulesets and /accounts/:account/rulesets: a PUT replaces all rules, a list shows none. */
import { z } from 'zod';
import { checked, invalid, missing } from './fault';
import { need, type Answer, type Call, type Route } from './route';
import { identifier, timestamp, type Rule, type Ruleset } from './state';

const ruleSchema = z.looseObject({
  id: z.string().optional(),
  ref: z.string().optional(),
  action: z.enum([
    'block',
    'challenge',
    'js_challenge',
    'managed_challenge',
    'log',
    'skip',
    'execute',
    'rewrite',
    'redirect',
    'route',
    'set_config',
    'set_cache_settings',
    'compress_response',
    'serve_error',
    'score',
  ]),
  expression: z.string().min(1),
  description: z.string().optional(),
  enabled: z.boolean().optional(),
  action_parameters: z.record(z.string(), z.unknown()).optional(),
});
const phases = [
  'http_request_firewall_custom',
  'http_request_firewall_managed',
  'http_ratelimit',
  'http_request_redirect',
  'http_request_dynamic_redirect',
  'http_request_transform',
  'http_request_late_transform',
  'http_response_headers_transform',
  'http_request_origin',
  'http_config_settings',
  'http_request_cache_settings',
  'http_custom_errors',
  'http_request_sanitize',
  'http_response_compression',
] as const;
const replacement = z.strictObject({
  id: z.string().optional(),
  name: z.string().optional(),
  description: z.string().optional(),
  kind: z.enum(['zone', 'root', 'custom']).optional(),
  phase: z.enum(phases).optional(),
  rules: z.array(ruleSchema).optional(),
});
const creation = replacement.required({ name: true, kind: true, phase: true });
type Content = z.infer<typeof replacement>;

const checkedRuleset = <T>(schema: z.ZodType<T>, value: unknown): T =>
  checked(schema, value, 20015, 'invalid ruleset: ');

const holder = (call: Call) =>
  call.params['account'] === undefined ? `zones/${call.zone.id}` : `accounts/${call.params['account']}`;
const held = (call: Call) => call.store.state.rulesets[holder(call)] ?? {};

function put(call: Call, ruleset: Ruleset): Ruleset {
  call.store.replace({
    rulesets: { ...call.store.state.rulesets, [holder(call)]: { ...held(call), [ruleset.id]: ruleset } },
  });
  return ruleset;
}

/** A rule that keeps its id or ref keeps its identity; its version counts up when it changed. */
function makeRules(bodies: readonly z.infer<typeof ruleSchema>[], earlier: readonly Rule[], now: string): Rule[] {
  return bodies.map((body) => {
    const old = earlier.find((rule) => rule.id === body.id || (body.ref !== undefined && rule.ref === body.ref));
    const id = old?.id ?? identifier();
    const content = { ...body, id, ref: body.ref ?? old?.ref ?? id, enabled: body.enabled ?? true };
    const unchanged = old && JSON.stringify({ ...old, ...content }) === JSON.stringify(old);
    return unchanged ? old : { ...content, version: String(Number(old?.version ?? 0) + 1), last_updated: now };
  });
}

function replaceRules(call: Call, earlier: Ruleset, content: Content): Ruleset {
  const now = timestamp();
  return put(call, {
    ...earlier,
    name: content.name ?? earlier.name,
    description: content.description ?? earlier.description,
    version: String(Number(earlier.version) + 1),
    last_updated: now,
    rules: makeRules(content.rules ?? [], earlier.rules, now),
  });
}

const blank = (name: string, kind: Ruleset['kind'], phase: string): Ruleset => ({
  id: identifier(),
  name,
  description: '',
  kind,
  phase,
  version: '0',
  last_updated: timestamp(),
  rules: [],
});

const entrypointKind = (call: Call) => (call.params['account'] === undefined ? 'zone' : 'root');
const entrypointOf = (call: Call, phase: string) =>
  Object.values(held(call)).find((ruleset) => ruleset.phase === phase && ruleset.kind === entrypointKind(call));

function find(call: Call): Ruleset {
  const ruleset = held(call)[call.params['ruleset'] as string];
  if (!ruleset) throw missing.ruleset();
  return ruleset;
}

function create(call: Call): Ruleset {
  const body = checkedRuleset(creation, call.body);
  const allowed = call.params['account'] === undefined ? ['zone'] : ['root', 'custom'];
  if (!allowed.includes(body.kind))
    throw invalid(20015, `invalid ruleset: kind: "${body.kind}" here must be ${allowed.join(' or ')}`);
  if (body.kind !== 'custom' && entrypointOf(call, body.phase))
    throw invalid(
      20217,
      'a similar configuration with rules already exists and overwriting will have unintended consequences',
    );
  return replaceRules(call, blank(body.name, body.kind, body.phase), body);
}

function phaseOf(call: Call): string {
  const phase = call.params['phase'] as (typeof phases)[number];
  if (!phases.includes(phase))
    throw invalid(20015, `invalid ruleset: phase: "${phase}" must be one of ${phases.join(', ')}`);
  return phase;
}

function getEntrypoint(call: Call): Ruleset {
  const ruleset = entrypointOf(call, phaseOf(call));
  if (!ruleset) throw missing.entrypoint(phaseOf(call));
  return ruleset;
}

function putEntrypoint(call: Call): Ruleset {
  const body = checkedRuleset(replacement, call.body);
  const earlier = entrypointOf(call, phaseOf(call)) ?? blank('default', entrypointKind(call), phaseOf(call));
  return replaceRules(call, earlier, body);
}

function remove(call: Call): Answer {
  const { [find(call).id]: gone, ...rest } = held(call);
  call.store.replace({ rulesets: { ...call.store.state.rulesets, [holder(call)]: rest } });
  return {};
}

function changeRules(call: Call, rules: readonly unknown[]): Ruleset {
  return replaceRules(call, find(call), { rules: rules.map((rule) => checkedRuleset(ruleSchema, rule)) });
}

function ruleAt(call: Call): number {
  const index = find(call).rules.findIndex((rule) => rule.id === call.params['rule']);
  if (index < 0) throw missing.ruleset();
  return index;
}

const body = (call: Call) => (typeof call.body === 'object' ? call.body : {});
const list = (call: Call): Answer => {
  const result = Object.values(held(call)).map(({ rules, ...ruleset }) => ruleset);
  return { result, result_info: { cursors: {} } };
};
const answer =
  (make: (call: Call) => Ruleset) =>
  (call: Call): Answer => ({ result: make(call) });

const routesUnder = (root: string, read: Pick<Route, 'need'>, write: Pick<Route, 'need'>): Route[] => [
  { method: 'GET', path: root, ...read, handle: list },
  { method: 'POST', path: root, ...write, handle: answer(create) },
  { method: 'GET', path: `${root}/phases/:phase/entrypoint`, ...read, handle: answer(getEntrypoint) },
  { method: 'PUT', path: `${root}/phases/:phase/entrypoint`, ...write, handle: answer(putEntrypoint) },
  { method: 'GET', path: `${root}/:ruleset`, ...read, handle: answer(find) },
  {
    method: 'PUT',
    path: `${root}/:ruleset`,
    ...write,
    handle: answer((call) => replaceRules(call, find(call), checkedRuleset(replacement, call.body))),
  },
  { method: 'DELETE', path: `${root}/:ruleset`, ...write, handle: remove },
  {
    method: 'POST',
    path: `${root}/:ruleset/rules`,
    ...write,
    handle: answer((call) => changeRules(call, [...find(call).rules, body(call)])),
  },
  {
    method: 'PATCH',
    path: `${root}/:ruleset/rules/:rule`,
    ...write,
    handle: answer((call) =>
      changeRules(
        call,
        find(call).rules.with(ruleAt(call), { ...find(call).rules[ruleAt(call)], ...body(call) } as Rule),
      ),
    ),
  },
  {
    method: 'DELETE',
    path: `${root}/:ruleset/rules/:rule`,
    ...write,
    handle: answer((call) => changeRules(call, find(call).rules.toSpliced(ruleAt(call), 1))),
  },
];

export const rulesetRoutes: readonly Route[] = [
  ...routesUnder('/zones/:zone/rulesets', need('Zone WAF', 'Read', 'zone'), need('Zone WAF', 'Write', 'zone')),
  ...routesUnder(
    '/accounts/:account/rulesets',
    need('Account Rulesets', 'Read', 'account'),
    need('Account Rulesets', 'Write', 'account'),
  ),
];
