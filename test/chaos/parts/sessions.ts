import { uuid7 } from '../../../agent/sessions/uuid7.ts';
import type { Findings } from '../scenario.ts';
import { type Stand, who } from './stand.ts';

export const sessionServices = {
  cookies: 'strategy: round_robin, affinity: { by: cookie, ttl: 1h }',
  tenants: 'strategy: round_robin, affinity: { by: header, header: x-tenant }',
};

/** Sessions of nginx: they move when it is killed, and what happens when it is back depends on what keeps them. */
export async function sessions(stand: Stand, findings: Findings): Promise<void> {
  const cookie = await cookieOf(stand, 'nginx');
  const governance = await find(
    stand,
    '/cookies/',
    () => ({ 'x-governance-session': uuid7(Date.now()) }),
    'nginx',
  );
  const tenant = await find(stand, '/tenants/', (turn) => ({ 'x-tenant': `t${turn}` }), 'nginx');
  const kept: [what: string, path: string, headers: Record<string, string>, returns: boolean][] = [
    ['cookie', '/cookies/', { cookie }, false],
    ['governance session', '/cookies/', governance, false],
    ['header', '/tenants/', tenant, true],
  ];
  const look = async (path: string, headers: Record<string, string>) => {
    const seen = new Set<string>();
    for (let i = 0; i < 6; i++) {
      const answer = await stand.ask(path, { headers });
      seen.add(answer.status === 200 ? who(answer) : String(answer.status));
      const set = answer.headers['set-cookie']?.[0]?.split(';')[0];
      if (set && headers.cookie) headers.cookie = set;
    }
    return [...seen].join(', ');
  };
  const story = new Map<string, string[]>(kept.map(([what]) => [what, []]));
  const all = async () => {
    for (const [what, path, headers] of kept) story.get(what)?.push(await look(path, headers));
  };
  await all();
  await stand.kill('nginx');
  await all();
  await stand.revive('nginx');
  await all();
  for (const [what, , , returns] of kept) {
    const [before, during, after] = story.get(what) ?? [];
    const moved = during === 'lighttpd' || during === 'demo';
    const holds = before === 'nginx' && moved && after === (returns ? 'nginx' : during);
    findings.check(holds, `${what}: on ${before}; nginx killed: ${during}; nginx back: ${after}`);
  }
}

async function cookieOf(stand: Stand, wanted: string): Promise<string> {
  for (let turn = 0; turn < 30; turn++) {
    const answer = await stand.ask('/cookies/');
    const cookie = answer.headers['set-cookie']?.[0]?.split(';')[0];
    if (cookie && who(answer) === wanted) return cookie;
  }
  throw new Error(`no cookie for ${wanted} in 30 requests`);
}

async function find(
  stand: Stand,
  path: string,
  headersOf: (turn: number) => Record<string, string>,
  wanted: string,
): Promise<Record<string, string>> {
  for (let turn = 0; turn < 60; turn++) {
    const headers = headersOf(turn);
    if (who(await stand.ask(path, { headers })) === wanted) return headers;
  }
  throw new Error(`no session on ${wanted} in 60 tries`);
}
