import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileAccess } from '../../shared/access.ts';
import { hostName, parseRequestUrl } from '../../shared/request-url.ts';
import { compileRoutes } from '../../shared/route.ts';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { rawExchange } from '../harness/raw-tcp.ts';
import { type RequestLine, requestLines } from '../harness/request-lines.ts';
import { instance, service } from '../harness/snapshot.ts';
import { UPSTREAM_KINDS, type Upstreams } from '../harness/upstreams.ts';
import { edgeKey, releaseAfterTests, startHaproxyHarness } from './haproxy-harness.ts';

/**
 * The same request lines through the edge's router alone, the edge, HAProxy, and HAProxy behind the edge, with Node, nginx,
 * Apache, Python and PHP as instances: same service, same access decision, same path. Where one end refuses what the other resolves, the
 * row says so. Generated request lines show that no line has two meanings: ROUTING_SEED=7 ROUTING_LINES=400 tries others.
 */

/** Routes, hosts and access rules of the services, for both ends. 127.0.0.1 is the client. */
const SERVICE_IDS = ['web', 'api', 'internal'] as const;
type ServiceId = (typeof SERVICE_IDS)[number];

interface RoutedService {
  routes: string[];
  hosts?: string[];
  access: { path: string; deny: string[] }[];
}

const SERVICES: Record<ServiceId, RoutedService> = {
  web: { routes: ['/'], access: [{ path: '/admin', deny: ['127.0.0.0/8'] }] },
  api: { routes: ['/api', '/api/v1/auth'], access: [] },
  internal: { routes: ['/', '/api'], hosts: ['internal.example'], access: [] },
};

/** A service with the path that the instance sees, or the status of a refusal. */
type Expected = `${ServiceId} ${string}` | '400' | '403';

interface Vector extends RequestLine {
  expected: Expected;
  /** Differs where the edge resolves dot segments, which HAProxy refuses. */
  edge?: Expected;
}

const X = 'x.example';
const VECTORS: Vector[] = [
  ...['internal.example', 'INTERNAL.example', 'Internal.Example:8443', 'internal.example.'].flatMap(
    (host): Vector[] => [
      { host, target: '/', expected: 'internal /' },
      { host, target: '/api/x', expected: 'internal /api/x' },
      { host, target: '/admin', expected: 'internal /admin' },
    ],
  ),
  ...[
    'x,internal.example',
    'internal.example,x',
    'internal.example x',
    'internal.example/',
    'a@internal.example',
    'internal%2eexample',
    'internal.example:x',
    'internal.example:',
    'internal.example#',
    'internal.example?',
    'internal.example\\',
  ].map((host): Vector => ({ host, target: '/', expected: '400' })),
  { host: 'internal.example.evil.example', target: '/', expected: 'web /' },
  { host: 'xinternal.example', target: '/', expected: 'web /' },
  { host: '[::1]:80', target: '/', expected: 'web /' },
  { host: X, target: '/api', expected: 'api /api' },
  { host: X, target: '/api/', expected: 'api /api/' },
  { host: X, target: '/api?q=/../admin', expected: 'api /api?q=/../admin' },
  { host: X, target: '/api/v1/auth/x', expected: 'api /api/v1/auth/x' },
  { host: X, target: '/apix', expected: 'web /apix' },
  { host: X, target: '/API/x', expected: 'web /API/x' },
  { host: X, target: '/%61pi/x', expected: 'web /%61pi/x' },
  { host: X, target: '//api/x', expected: 'web //api/x' },
  { host: X, target: '/api//x', expected: 'api /api//x' },
  { host: X, target: '/api;v=1/x', expected: 'web /api;v=1/x' },
  { host: X, target: '/a%20b', expected: 'web /a%20b' },
  { host: X, target: '/caf%C3%A9', expected: 'web /caf%C3%A9' },
  { host: X, target: '/a%2Fb', expected: 'web /a%2Fb' },
  { host: X, target: '/x.y/.hidden', expected: 'web /x.y/.hidden' },
  { host: X, target: `http://${X}/api/x`, expected: 'api /api/x' },
  { host: X, target: '/administrator', expected: 'web /administrator' },
  ...[
    '/admin',
    '/admin/',
    '/admin/x',
    '/ADMIN',
    '/%61dmin',
    '//admin',
    '/admin;x=1',
    '/admin%2Fx',
    '/admin//',
  ].map((target): Vector => ({ host: X, target, expected: '403' })),
  { host: X, target: '/x/../admin', expected: '400', edge: '403' },
  { host: X, target: '/x/%2e%2e/admin', expected: '400', edge: '403' },
  { host: X, target: '/./admin', expected: '400', edge: '403' },
  { host: X, target: '/admin/../api/x', expected: '400', edge: 'api /api/x' },
  { host: X, target: '/api/..', expected: '400', edge: 'web /' },
  { host: X, target: '/\\admin', expected: '400' },
  { host: X, target: '/api\\..\\admin', expected: '400' },
];

const title = ({ host, target }: RequestLine): string => `${host} ${target}`;

/** What the edge's router decides, without a server. */
function routed({ host, target }: RequestLine): string {
  const path = target.startsWith('/') ? target : new URL(target).pathname;
  const url = parseRequestUrl(`http://${host}${path}`, host);
  if (!url) return '400';
  const byPath = compileRoutes(SERVICE_IDS.map((id) => ({ id, ...SERVICES[id] })));
  const found = byPath(hostName(url.host), url.target.split('?')[0] ?? '');
  if (!found) return '404';
  const { allowed } = compileAccess(found.access)(url.target.split('?')[0] ?? '', '127.0.0.1');
  return allowed ? `${found.id} ${url.target}` : '403';
}

test.each(VECTORS)("edge's router: $host $target", (vector) => {
  expect(routed(vector)).toBe(vector.edge ?? vector.expected);
});

const key = edgeKey('k1');
const gatewayKey = `${key.kid}:${key.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64url')}`;
let edge: TestEdge;
beforeAll(async () => {
  edge = await startEdge({ vars: { GATEWAY_JWT_KEY: gatewayKey } });
});
afterAll(() => edge?.stop());

const yamlOf = (urls: Upstreams['urls']): string =>
  SERVICE_IDS.map((id) => {
    const instances = [{ id: `${id}-1`, url: urls[id] }];
    return `${id}: ${JSON.stringify({ ...SERVICES[id], instances, health: { type: 'tcp' } })}`;
  }).join('\n');

async function publish(
  urls: Upstreams['urls'],
  path: 'direct' | 'gateway',
  gateways: string[],
): Promise<void> {
  const services = SERVICE_IDS.map((id) => {
    const instances = [instance(`${id}-1`, urls[id] ?? '')];
    return [id, service({ ...SERVICES[id], path, instances })] as const;
  });
  const answer = await edge.publish({ gateways, services: Object.fromEntries(services) });
  expect(answer.status).toBe(200);
}

/** What the instance saw, or the status of a refusal. */
async function ask(url: string, { host, target }: RequestLine): Promise<string> {
  const answer = await rawExchange(
    url,
    `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    /\r\n\r\n/,
  );
  const status = answer.slice(9, 12);
  if (status !== '200') return status;
  // Apache shows its whole request line.
  const saw = (/\r\nx-saw: (.*)\r\n/i.exec(answer)?.[1] ?? 'nothing').replace(
    / GET (\S+) HTTP\/1\.[01]$/,
    ' $1',
  );
  // An instance that reads the path as one that a rule protects must never have received it.
  const readsAdmin = /\r\nx-read-as: admin\r\n/i.test(answer) && !/^internal |administrator/.test(saw);
  return readsAdmin ? `instance reads /admin: ${saw}` : saw;
}

const GENERATED = requestLines(
  Number(process.env.ROUTING_SEED ?? 14),
  Number(process.env.ROUTING_LINES ?? 40),
);

/** The edge drops an empty query. */
const withoutEmptyQuery = (answer: string): string => answer.replace(/\?$/, '');

/**
 * What is wrong with the answers to one request line; null when nothing is. Each end may refuse what it cannot read, but ends
 * that accept the line agree about its meaning, and an access rule that denies it at one end denies it at all.
 */
function disagreement(line: RequestLine, answers: readonly string[]): string | null {
  const accepted = new Set(answers.filter((answer) => !/^4\d\d$/.test(answer)).map(withoutEmptyQuery));
  const isOriginForm = line.target.startsWith('/') && !line.target.includes('#');
  if (isOriginForm && accepted.size > 0) accepted.add(withoutEmptyQuery(routed(trimmed(line))));
  const isUnsafe = [...accepted].some((answer) => answer.startsWith('instance reads'));
  const isDenied = accepted.size > 0 && answers.includes('403');
  return accepted.size > 1 || isUnsafe || isDenied ? `${title(line)}: ${answers.join(', ')}` : null;
}

/** A parser removes blanks around a field. */
const trimmed = ({ host, target }: RequestLine): RequestLine => ({ host: host.trim(), target });

for (const { name, program, start } of UPSTREAM_KINDS) {
  if (program === null)
    process.stderr.write(
      `${name} is not installed, its part is skipped: node dev/bootstrap.mjs --with-test-tools\n`,
    );
  describe.skipIf(program === null)(name, () => {
    let gateway: string;
    let urls: Upstreams['urls'];
    beforeAll(async () => {
      const upstreams = await start(SERVICE_IDS, program ?? '');
      releaseAfterTests(upstreams.stop);
      ({ urls } = upstreams);
      gateway = (
        await startHaproxyHarness({ services: yamlOf(urls), haproxy: 'rateLimit: off', keys: [key] })
      ).gateway;
    });
    const all = async (url: () => string, ofEdge: boolean): Promise<void> => {
      const wrong = [];
      for (const vector of VECTORS) {
        const expected = (ofEdge && vector.edge) || vector.expected;
        const got = await ask(url(), vector);
        if (got !== expected) wrong.push(`${title(vector)}: ${got} instead of ${expected}`);
      }
      expect(wrong).toEqual([]);
    };
    test('HAProxy', () => all(() => gateway, false));
    test('edge, directly', async () => {
      await publish(urls, 'direct', []);
      await all(() => edge.url, true);
    });
    test('edge, through HAProxy', async () => {
      await publish(urls, 'gateway', [gateway]);
      await all(() => edge.url, true);
    });
    test('generated request lines have one meaning', async () => {
      const answersOf = async (url: string): Promise<string[]> => {
        const answers: string[] = [];
        for (const line of GENERATED) answers.push(await ask(url, line));
        return answers;
      };
      const ends = [await answersOf(gateway)];
      await publish(urls, 'direct', []);
      ends.push(await answersOf(edge.url));
      await publish(urls, 'gateway', [gateway]);
      ends.push(await answersOf(edge.url));
      const problems = GENERATED.map((line, at) =>
        disagreement(
          line,
          ends.map((answers) => answers[at] ?? ''),
        ),
      );
      expect(problems.filter((problem) => problem !== null)).toEqual([]);
    });
  });
}
