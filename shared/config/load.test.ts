import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ConfigError, parseConfig } from './load.ts';

const SHIPPED = readFileSync(new URL('../../acgs-lb.yaml', import.meta.url), 'utf8');
const MINIMAL = 'version: 1\nsite: { id: main }\nservices:\n  web:\n    routes: [/]\n';

function problemsOf(text: string): string[] {
  try {
    parseConfig(text, 'f.yaml');
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

it('reads the shipped file', () => {
  const config = parseConfig(SHIPPED);
  expect(Object.keys(config.services)).toEqual(['auth', 'ac', 'integrity', 'fv', 'gs', 'pgc', 'ec']);
  expect(config.services.pgc).toMatchObject({
    timeout: 45_000,
    deadline: 55_000,
    maxconn: 100,
    health: { path: '/health', interval: 5_000, fall: 2, rise: 3, expect: { status: [[200, 200]] } },
    breaker: { failureRate: 0.5, slowCall: 22_500, openFor: 30_000 },
    rateLimits: [{ name: 'per-ip', limit: 20, window: 10_000, scope: 'edge' }],
  });
  expect(config.services.gs?.routes).toEqual(['/api/v1/governance', '/']);
  expect(config.haproxy.rateLimit).toEqual({ limit: 20, windowMs: 10_000 });
  expect(config.retention).toBe(30 * 86_400_000);
});

it('fills every default of a minimal file, and freezes it', () => {
  const config = parseConfig(MINIMAL);
  expect(config.services.web).toMatchObject({
    timeout: 30_000,
    deadline: 40_000,
    path: 'gateway',
    strategy: 'least_response_time',
    affinity: { by: 'cookie', ttl: 3_600_000 },
    failover: { strategy: 'graceful', maxAttempts: 3, retryBudget: 0.2 },
    instances: [],
  });
  expect(config.agent.bind).toBe('127.0.0.1:9400');
  expect(Object.isFrozen(config.services.web?.health.expect.status)).toBe(true);
});

it('overrides built-in values by defaults and both by the service: key by key, lists as a whole', () => {
  const config = parseConfig(`${MINIMAL}    health: { interval: 5s, expect: { body: ok } }
    access: []
defaults:
  health: { path: /ready, interval: 20s, expect: { status: [2xx, 301] } }
  access: [ { path: /x, deny: [10.0.0.1] } ]
`);
  expect(config.services.web?.health).toMatchObject({
    path: '/ready',
    interval: 5_000,
    timeout: 3_000,
    expect: {
      status: [
        [200, 299],
        [301, 301],
      ],
      body: 'ok',
    },
  });
  expect(config.services.web?.access).toEqual([]);
});

it('without alert routes sends every severity to every receiver', () => {
  const receivers = (text: string) => parseConfig(MINIMAL + text).alerts.routes.flatMap(({ to }) => to);
  expect(receivers('')).toEqual(['log']);
  const ops = 'ops: { type: webhook, url: https://example.org/in }';
  expect(receivers(`alerts: { receivers: { ${ops}, log: { type: log } } }\n`)).toEqual(['ops', 'log']);
});

it.each([
  [
    'a wrong scalar',
    MINIMAL.replace('[/]', '[/]\n    timeout: soon'),
    'f.yaml:6:5: services.web.timeout: "soon" is not allowed; expected a duration',
  ],
  [
    'an unknown key',
    `${MINIMAL}colour: red\n`,
    'f.yaml:6:1: colour: "colour" is not allowed; expected a known key of the file',
  ],
  [
    'a value out of a list',
    MINIMAL.replace('[/]', '[/]\n    strategy: fastest'),
    'services.web.strategy: "fastest" is not allowed; expected least_response_time, round_robin',
  ],
  [
    'a number out of range',
    MINIMAL.replace('main }', 'main, agents: 10 }'),
    'site.agents: 10 is not allowed; expected at most 9',
  ],
  [
    'a missing key',
    'site: { id: main }\nservices: { web: { routes: [/] } }\n',
    'f.yaml:1:1: version: missing; expected 1',
  ],
  [
    'another type',
    MINIMAL.replace('routes: [/]', 'routes: /'),
    'services.web.routes: "/" is not allowed; expected a list',
  ],
  [
    'a bad service id',
    MINIMAL.replace('web:', '"we b":'),
    'services.we b: "we b" is not allowed; expected 1 to 63 letters',
  ],
  [
    'a bad instance URL',
    `${MINIMAL}    instances: [ { id: a, url: "http://x/path" } ]\n`,
    'services.web.instances[0].url: "http://x/path" is not allowed; expected an http:// or https:// origin',
  ],
  [
    'the same route twice',
    `${MINIMAL}  api:\n    routes: [/]\n`,
    'f.yaml:7:14: services.api.routes[0]: "/" is not allowed; expected a prefix that no other service has (web has it)',
  ],
  [
    'the same instance id twice',
    `${MINIMAL}    instances: [ { id: a, url: "http://x:1" }, { id: a, url: "http://x:2" } ]\n`,
    'services.web.instances[1].id: "a" is not allowed; expected an id that no other',
  ],
  [
    'the same URL twice',
    `${MINIMAL}    instances: [ { id: a, url: "http://x:80" }, { id: b, url: "http://x" } ]\n`,
    'services.web.instances[1].url: "http://x" is not allowed; expected a URL that no other instance of the service has (a has it)',
  ],
  [
    'a deadline below the timeout',
    MINIMAL.replace('[/]', '[/]\n    deadline: 5s'),
    'f.yaml:6:5: services.web.deadline: "5s" is not allowed; expected at least timeout (30s)',
  ],
  [
    'a fast interval above the interval',
    `${MINIMAL}defaults: { health: { fastInterval: 20s } }\n`,
    'f.yaml:6:23: defaults.health.fastInterval: "20s" is not allowed; expected at most interval (10s)',
  ],
  [
    'a maxOpenFor below openFor',
    MINIMAL.replace('[/]', '[/]\n    breaker: { openFor: 10m }'),
    'services.web.breaker.maxOpenFor: "5m" is not allowed; expected at least openFor (10m)',
  ],
  [
    'an unknown receiver',
    `${MINIMAL}alerts: { routes: [ { severities: [critical], to: [pager] } ] }\n`,
    'alerts.routes[0].to[0]: "pager" is not allowed; expected one of log',
  ],
  [
    'affinity by header without a header name',
    MINIMAL.replace('[/]', '[/]\n    affinity: { by: header }'),
    'services.web.affinity.header: missing; expected a header name',
  ],
  [
    'a pool with min above max',
    `${MINIMAL}postgres: { pool: { min: 5, max: 2 } }\n`,
    'postgres.pool.min: 5 is not allowed; expected at most max (2)',
  ],
  [
    'thresholds that do not rise',
    `${MINIMAL}monitor: { thresholds: { errorPercent: { warning: 9, critical: 5, emergency: 10 } } }\n`,
    'monitor.thresholds.errorPercent:',
  ],
  [
    'a cost no request can pay',
    `${MINIMAL}defaults: { rateLimits: [ { name: a, key: ip, limit: 5, window: 1s, cost: 6 } ] }\n`,
    'defaults.rateLimits[0].cost: 6 is not allowed; expected at most limit (5)',
  ],
  [
    'a limit named twice',
    `${MINIMAL}defaults: { rateLimits: [ { name: a, key: ip, limit: 5, window: 1s }, { name: a, key: ip, limit: 5, window: 2s } ] }\n`,
    'defaults.rateLimits[1].name: "a" is not allowed',
  ],
  [
    'a top-level limit and a limit of a service with the same name',
    `${MINIMAL}    rateLimits: [ { name: a, key: ip, limit: 5, window: 2s } ]\nrateLimits: [ { name: a, key: ip, limit: 5, window: 1s } ]\n`,
    'services.web.rateLimits[0].name: "a" is not allowed; expected a name that no limit in the top-level rateLimits has',
  ],
  [
    'a native rate limit, an option of earlier versions',
    `${MINIMAL}rateLimits: [ { name: a, key: ip, limit: 5, window: 10s, native: NATIVE_PER_IP } ]\n`,
    'rateLimits[0].native: "native" is not allowed',
  ],
  [
    'a certificate without its key',
    MINIMAL.replace('[/]', '[/]\n    health: { tls: { cert: /c.pem } }'),
    'services.web.health.tls.key: missing',
  ],
  ['a tag', MINIMAL.replace('[/]', '[/]\n    maxconn: !vault 5'), 'f.yaml:6:14: Unresolved tag: !vault'],
  ['a directive', `%YAML 9.9\n---\n${MINIMAL}`, 'f.yaml:1:7: Unsupported YAML version 9.9'],
  ['a second document', `${MINIMAL}---\nversion: 1\n`, 'a second document starts here'],
  [
    'NUL in a value',
    MINIMAL.replace('[/]', '[/]\n    health: { path: "/a\\0b" }'),
    'f.yaml:6:21: the character U+0000 is not allowed',
  ],
  [
    'a control character in a key',
    MINIMAL.replace('[/]', '[/]\n    instances: [ { id: a, url: "http://a", metadata: { "x\\x85": y } } ]'),
    'the character U+0085 is not allowed',
  ],
  [
    'half of a surrogate pair',
    MINIMAL.replace('[/]', '[/]\n    health: { expect: { body: "\\ud800" } }'),
    'the character U+D800 is not allowed',
  ],
  [
    'characters that no request line holds',
    MINIMAL.replace('[/]', '[/]\n    health: { path: /é }'),
    'services.web.health.path: "/é" is not allowed',
  ],
  [
    'characters that HAProxy and Node encode differently',
    MINIMAL.replace('[/]', '[/]\n    health: { headers: { x: é } }'),
    'services.web.health.headers.x: "é" is not allowed; expected printable ASCII text',
  ],
  [
    'no number',
    MINIMAL.replace('[/]', '[/]\n    maxconn: .nan'),
    'services.web.maxconn: NaN is not allowed; expected a number',
  ],
  [
    'two servers on one port',
    `${MINIMAL}haproxy: { stats: "*:8090" }\n`,
    'haproxy.stats: "*:8090" is not allowed; expected a port of its own (the gateway has 127.0.0.1:8090)',
  ],
  [
    'an instance where the gateway listens',
    `${MINIMAL}    instances: [ { id: a, url: "http://127.0.0.1:8090" } ]\n`,
    'services.web.instances[0].url: "http://127.0.0.1:8090" is not allowed; expected an address that HAProxy and the agent do not listen on (the gateway',
  ],
  [
    'the edge where the agent listens',
    `${MINIMAL}edge: { url: "http://localhost:9400" }\n`,
    'edge.url: "http://localhost:9400" is not allowed',
  ],
])('locates %s', (_what, text, expected) => {
  const problems = problemsOf(text);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(expected);
});

it('reports an error in defaults once, not for every service', () => {
  expect(problemsOf(SHIPPED.replace('fastInterval: 1s', 'fastInterval: 1m'))).toEqual([
    // pgc sets its own interval, so the error is also in pgc.
    expect.stringContaining('defaults.health.fastInterval: "1m"'),
    expect.stringContaining('services.pgc.health.fastInterval: "1m"'),
  ]);
});

it('reports schema errors and cross-check errors at once, in the order of the text', () => {
  const broken = SHIPPED.replace('version: 1', 'version: 2')
    .replace('strategy: least_response_time', 'strategy: fastest')
    .replace('timeout: 30s\n    maxconn: 200', 'timeout: 30\n    maxconn: 200')
    .replace('id: ac-2, url: http://127.0.0.1:8011', 'id: ac-1, url: ftp://127.0.0.1')
    .replace('routes: [/api/v1/policy]', 'routes: [/api/v1/auth]\n    deadline: 1s')
    .replace('rateLimit: 20/10s', 'rateLimit: lots');
  expect(problemsOf(broken).map((line) => line.split(': ')[1])).toEqual([
    'version',
    'defaults.strategy',
    'services.auth.timeout',
    'services.ac.instances[1].id',
    'services.ac.instances[1].url',
    'services.pgc.routes[0]',
    'services.pgc.deadline',
    'haproxy.rateLimit',
  ]);
});

it('cross-checks a list once it has no schema error', () => {
  const withInstances = (id: string) => `${MINIMAL}    instances:
      - { id: "${id}", url: "http://a:1" }
      - { id: b, url: "http://127.0.0.1:9400" }
`;
  expect(problemsOf(withInstances('?'))).toEqual([
    expect.stringContaining('f.yaml:7:11: services.web.instances[0].id: "?"'),
  ]);
  expect(problemsOf(withInstances('a'))).toEqual([
    expect.stringContaining('f.yaml:8:18: services.web.instances[1].url: "http://127.0.0.1:9400"'),
  ]);
});

it('locates syntax errors', () => {
  expect(problemsOf('version: 1\nsite: [\n')[0]).toMatch(/^f\.yaml:3:1: /);
  expect(problemsOf('version: 1\nversion: 1\n')[0]).toMatch(/^f\.yaml:2:1: Map keys must be unique/);
});

it.each([
  ['an empty file', ''],
  ['a text', 'hello\n'],
  ['a list', '- 1\n'],
])('refuses %s', (_what, text) => {
  const problems = problemsOf(text);
  expect(problems.length).toBeGreaterThan(0);
  expect(problems[0]).toMatch(/^f\.yaml:1:1: (the file: .* expected a map|version: missing)/);
});

it('throws nothing but a ConfigError, whatever value a section has', () => {
  const keys = [
    'version',
    'site',
    'defaults',
    'services',
    'haproxy',
    'edge',
    'alerts',
    'monitor',
    'postgres',
  ];
  for (const key of keys) {
    for (const value of [
      'null',
      '7',
      'text',
      '[]',
      '[null]',
      '{ a: 1 }',
      '{ instances: 3 }',
      '{ web: null }',
    ]) {
      const without = MINIMAL.split('\n').filter((line) => !line.startsWith(`${key}:`));
      expect(() => problemsOf(`${without.join('\n')}\n${key}: ${value}\n`)).not.toThrow();
    }
  }
});

it.each([
  '/admin;x',
  '/a%3Bb',
  '/a%3Fb',
  '/a%23b',
  '/a%2Fb',
  '/a%5Cb',
  '/a%25b',
  '/a%00',
  '/a%0A',
  '/a%7f/b',
  '/a%20',
  '/a%20/b',
  '/%2e%2e/a',
  '/a/%2E',
  '/a%zz',
  '/a%',
  '/a%FF',
])('refuses %s as the path of a rule: no request can match it', (path) => {
  const access = `    access: [ { path: "${path}", deny: [10.0.0.1] } ]\n`;
  expect(problemsOf(MINIMAL + access)).toEqual([
    expect.stringContaining('f.yaml:6:17: services.web.access[0].path'),
  ]);
  const limit = `    rateLimits: [ { name: a, key: ip, limit: 1, window: 1s, routes: ["${path}"] } ]\n`;
  expect(problemsOf(MINIMAL + limit)).toEqual([expect.stringContaining('rateLimits[0].routes[0]')]);
});

it('accepts escapes and capital letters in the path of a rule', () => {
  for (const path of ['/', '/caf%C3%A9', '/a%20b', '/%61dmin', '/Admin', "/a:b@c$&'()*+,=!~"]) {
    expect(problemsOf(`${MINIMAL}    access: [ { path: "${path}", deny: [10.0.0.1] } ]\n`)).toEqual([]);
  }
});

it.each([
  [
    'an alias without an anchor',
    `${MINIMAL}haproxy: { bind: [ *:443 ] }\n`,
    '6:20: no anchor &:443 before the alias',
  ],
  [
    'an alias in its own anchor',
    `${MINIMAL}haproxy: &a { tls: *a }\n`,
    '6:20: the alias *a is inside its own anchor',
  ],
  ['a key that vanishes', MINIMAL.replace('web', '__proto__'), '4:3: __proto__ is not allowed as a key'],
  [
    'the same in a free map',
    `${MINIMAL}    rateLimits: [{ overrides: { __proto__: 1 } }]\n`,
    '6:33: __proto__ is not',
  ],
  ['a key twice', `${MINIMAL}  web: {}\n`, '6:3: Map keys must be unique'],
  ['a key that is a list', `${MINIMAL}? [a]\n: b\n`, '6:3: a key must be text'],
  ['nesting', `${MINIMAL}haproxy: ${'['.repeat(70)}${']'.repeat(70)}\n`, ': nested too deeply'],
  ['deep nesting', `a: ${'['.repeat(20_000)}`, 'f.yaml:'],
  ['deep block nesting', '- '.repeat(20_000), 'f.yaml:'],
])('locates %s', (_, text, problem) => {
  expect(problemsOf(text)).toEqual([expect.stringContaining(problem)]);
});

it('refuses an alias bomb quickly, and allows one anchor for thousands of services', () => {
  const levels = Array.from({ length: 12 }, (_, level) => {
    const items =
      level === 0
        ? 'x'
        : Array(9)
            .fill(`*a${level - 1}`)
            .join(', ');
    return `a${level}: &a${level} [${items}]`;
  });
  const started = performance.now();
  expect(problemsOf(levels.join('\n'))[0]).toMatch(
    /^f\.yaml:\d+:\d+: the aliases up to \*a\d repeat too much/,
  );
  expect(performance.now() - started).toBeLessThan(1_000);
  const services = Array.from({ length: 2_000 }, (_, at) => `  s${at}: { routes: [/s${at}], health: *h }\n`);
  const text = `${MINIMAL.replace('[/]', '[/]\n    health: &h { path: /ready }')}${services.join('')}`;
  expect(parseConfig(text).services.s1999?.health.path).toBe('/ready');
});

it.each(['YAML 1.1', 'YAML 1.2'])('reads values alike with the directive %s', (version) => {
  expect(problemsOf(`%${version}\n---\n${MINIMAL}haproxy: { requireEdge: yes }\n`)[0]).toContain(
    'haproxy.requireEdge: "yes" is not allowed',
  );
});

it.each([
  '10/8',
  '10.1/16',
  '010.0.0.0/8',
  '0x0a.0.0.1',
  '167772161',
  '1.2.3.4/33',
  '::1/129',
  'fe80::1%eth0',
  '1.2.3.4/+8',
  '1.2.3.4/08',
  '::/0/0',
])('refuses %s as a network', (network) => {
  const access = `    access: [ { path: /x, deny: ["${network}"] } ]\n`;
  expect(problemsOf(MINIMAL + access)).toEqual([expect.stringContaining('services.web.access[0].deny[0]')]);
});

it('refuses durations that overflow a timer, and fractions of a millisecond', () => {
  for (const text of ['25d', '30d', '9999999999d', '0.5ms', '1.0005s', `${'9'.repeat(400)}s`]) {
    for (const key of ['timeout', 'deadline']) {
      expect(problemsOf(`${MINIMAL}    ${key}: ${text}\n`).join()).toContain(
        `services.web.${key}: "${text.slice(0, 9)}`,
      );
    }
    expect(problemsOf(`${MINIMAL}haproxy: { rateLimit: 5/${text} }\n`)).toHaveLength(1);
    expect(problemsOf(`${MINIMAL}    health: { interval: ${text} }\n`)).toHaveLength(1);
  }
  const config = parseConfig(`${MINIMAL}    timeout: 24d\n    affinity: { ttl: 90d }\nretention: 365d\n`);
  expect(config.services.web?.deadline).toBeLessThan(2 ** 31);
  expect(problemsOf(`${MINIMAL}retention: 4000d\n`)).toHaveLength(1);
});

const manyServices = (count: number, broken = false): string => {
  const services = Array.from({ length: count }, (_, at) => {
    const instance = `{ id: i${at}, url: http://10.0.${at >> 8}.${at & 255}:80 }`;
    return `  s${at}:\n    routes: [${broken ? 'x' : '/s'}${at}]\n    instances: [${instance}]\n`;
  });
  return `version: 1\nsite: { id: main }\nservices:\n${services.join('')}`;
};

it.each([false, true])('takes time linear in the file, with errors in each service: %s', (broken) => {
  const cpuOf = (count: number): number => {
    const text = manyServices(count, broken);
    const started = process.cpuUsage();
    expect(problemsOf(text)).toHaveLength(broken ? Math.min(count, 1_001) : 0);
    const { user, system } = process.cpuUsage(started);
    return (user + system) / 1_000;
  };
  cpuOf(500);
  const [small, large] = [cpuOf(1_500), cpuOf(12_000)];
  // Eight times the services; sixteen leaves room for garbage collection. Quadratic time would be 64.
  expect(large / small).toBeLessThan(24);
});

it('gRPC health needs HTTP/2, and HTTP/2 needs the gateway', () => {
  expect(problemsOf(`${MINIMAL}    health: { type: grpc }\n`)).toEqual([
    'f.yaml:4:3: services.web.protocol: missing; expected http2, because health.type is grpc',
  ]);
  expect(problemsOf(`${MINIMAL}    protocol: http2\n    path: direct\n`)).toEqual([
    'f.yaml:7:5: services.web.path: "direct" is not allowed; expected gateway: web has protocol: http2, which only HAProxy can send',
  ]);
  expect(problemsOf(`${MINIMAL}    protocol: http2\n    health: { type: grpc }\n`)).toEqual([]);
});

it('of many errors lists the first 1,000 and counts the others', () => {
  const withRoutes = (routes: string) =>
    problemsOf(`version: 1\nsite: { id: main }\nservices: { gs: { routes: [${routes}] } }`);
  for (const routes of ['x,'.repeat(1_500), `/,${','.repeat(1_500)}`]) {
    const problems = withRoutes(routes);
    expect(problems.length).toBe(1_001);
    expect(problems[0]).toMatch(/^f\.yaml:3:\d+: /);
    expect(problems.at(-1)).toMatch(/^and \d+ more errors$/);
  }
  // Too many for the stack.
  const wrong = `version: 1\nsite: { id: main }\nservices: { gs: { routes: [/], instances: [${'1,'.repeat(150_000)}] } }`;
  expect(problemsOf(wrong)).toEqual([
    expect.stringMatching(/^f\.yaml:1:1: the file: .* expected fewer than 100,000 wrong values$/),
  ]);
});
