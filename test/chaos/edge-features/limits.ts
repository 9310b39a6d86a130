import type { RawResponse } from '../http-request.ts';
import type { ScenarioFindings } from '../scenario.ts';
import type { TestBed } from './test-bed.ts';

const LIMIT = 5;

export const limitServices = Object.fromEntries(
  (['edge', 'global'] as const).map((scope) => [
    `limited-${scope}`,
    `rateLimits: [ { name: tight, key: ip, limit: ${LIMIT}, window: 1m, scope: ${scope} } ]`,
  ]),
);

export async function limits(testBed: TestBed, findings: ScenarioFindings): Promise<void> {
  for (const name of Object.keys(limitServices)) {
    const headers = { 'x-acgs-sim-client': '198.51.100.200' };
    const answers: RawResponse[] = [];
    for (let i = 0; i < LIMIT + 3; i++) answers.push(await testBed.request(`/${name}/`, { headers }));
    const statuses = answers.map(({ status }) => status);
    const admitted = statuses.filter((status) => status === 200).length;
    const [first, last] = [answers[0]?.headers ?? {}, answers.at(-1)?.headers ?? {}];
    const fields =
      first['ratelimit-policy'] === `"tight";q=${LIMIT};w=60` &&
      /^"tight";r=\d+;t=\d+$/.test(String(first.ratelimit)) &&
      /^"tight";r=0;t=\d+$/.test(String(last.ratelimit)) &&
      Number(last['retry-after']) > 0 &&
      last['content-type'] === 'application/problem+json';
    findings.check(
      admitted === LIMIT && statuses.at(-1) === 429 && fields,
      `${name}: ${admitted} of ${statuses.length} admitted, then 429 with ratelimit ${last.ratelimit}, retry-after ${last['retry-after']}`,
    );
    const other = await testBed.request(`/${name}/`, { headers: { 'x-acgs-sim-client': '198.51.100.201' } });
    findings.check(other.status === 200, `${name}: another client at the same time: ${other.status}`);
  }
}
