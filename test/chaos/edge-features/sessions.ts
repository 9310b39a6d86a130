import { uuid7 } from '../../../agent/lib/uuid7.ts';
import type { ScenarioFindings } from '../scenario.ts';
import { answeringServer, type TestBed } from './test-bed.ts';

export const sessionServices = {
  cookies: 'strategy: round_robin, affinity: { by: cookie, ttl: 1h }',
  tenants: 'strategy: round_robin, affinity: { by: header, header: x-tenant }',
};

/** Sessions on nginx move when it is killed. Only header affinity returns to it after the restart. */
export async function sessions(testBed: TestBed, findings: ScenarioFindings): Promise<void> {
  const cookie = await cookieOf(testBed, 'nginx');
  const governance = await find(
    testBed,
    '/cookies/',
    () => ({ 'x-governance-session': uuid7(Date.now()) }),
    'nginx',
  );
  const tenant = await find(testBed, '/tenants/', (turn) => ({ 'x-tenant': `t${turn}` }), 'nginx');
  const cases: [name: string, path: string, headers: Record<string, string>, returns: boolean][] = [
    ['cookie', '/cookies/', { cookie }, false],
    ['governance session', '/cookies/', governance, false],
    ['header', '/tenants/', tenant, true],
  ];
  const instancesOf = async (path: string, headers: Record<string, string>) => {
    const seen = new Set<string>();
    for (let i = 0; i < 6; i++) {
      const answer = await testBed.request(path, { headers });
      seen.add(answer.status === 200 ? answeringServer(answer) : String(answer.status));
      const set = answer.headers['set-cookie']?.[0]?.split(';')[0];
      if (set && headers.cookie) headers.cookie = set;
    }
    return [...seen].join(', ');
  };
  const results = new Map<string, string[]>(cases.map(([name]) => [name, []]));
  const all = async () => {
    for (const [name, path, headers] of cases) results.get(name)?.push(await instancesOf(path, headers));
  };
  await all();
  await testBed.kill('nginx');
  await all();
  await testBed.restart('nginx');
  await all();
  for (const [name, , , returns] of cases) {
    const [before, during, after] = results.get(name) ?? [];
    const moved = during === 'lighttpd' || during === 'demo';
    const correct = before === 'nginx' && moved && after === (returns ? 'nginx' : during);
    findings.check(correct, `${name}: on ${before}; nginx killed: ${during}; nginx back: ${after}`);
  }
}

async function cookieOf(testBed: TestBed, wanted: string): Promise<string> {
  for (let turn = 0; turn < 30; turn++) {
    const answer = await testBed.request('/cookies/');
    const cookie = answer.headers['set-cookie']?.[0]?.split(';')[0];
    if (cookie && answeringServer(answer) === wanted) return cookie;
  }
  throw new Error(`no cookie for ${wanted} in 30 requests`);
}

async function find(
  testBed: TestBed,
  path: string,
  headersOf: (turn: number) => Record<string, string>,
  wanted: string,
): Promise<Record<string, string>> {
  for (let turn = 0; turn < 60; turn++) {
    const headers = headersOf(turn);
    if (answeringServer(await testBed.request(path, { headers })) === wanted) return headers;
  }
  throw new Error(`no session on ${wanted} in 60 tries`);
}
