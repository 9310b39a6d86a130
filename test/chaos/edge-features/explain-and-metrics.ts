import { until } from '../../harness/until.ts';
import type { ScenarioFindings } from '../scenario.ts';
import type { TestBed } from './test-bed.ts';

/** The explain header needs the token; the edge's counters appear in the agent's metrics. */
export async function explainAndMetrics(testBed: TestBed, findings: ScenarioFindings): Promise<void> {
  const { stack } = testBed;
  const explain = { 'x-acgs-explain': '1', 'x-acgs-token': stack.edgeToken };
  const explained = await testBed.request('/robin/', { headers: explain });
  const trace = JSON.parse(String(explained.headers['x-acgs-trace'] ?? '{}')) as {
    candidates?: unknown[];
    attempts?: { route: string; status: unknown }[];
  };
  const withoutToken = await testBed.request('/robin/', { headers: { ...explain, 'x-acgs-token': 'wrong' } });
  findings.check(
    trace.candidates?.length === 3 &&
      trace.attempts?.[0]?.status === 200 &&
      !withoutToken.headers['x-acgs-trace'],
    `explain: ${trace.candidates?.length} candidates, tried ${trace.attempts?.map(({ route }) => route).join(', ')}; no trace with a wrong token`,
  );
  const wanted = [
    'acgs_edge_requests_total{service="robin",code="2xx"}',
    'acgs_edge_turned_away_total{service="limited-edge",reason="rate_limit"}',
    'acgs_edge_turned_away_total{service="guarded",reason="access"}',
    'acgs_load_balancer_requests_total{service="robin",server="robin-nginx",status="success"}',
  ];
  const figures = await until(async () => {
    // The edge sends its report together with a request.
    await testBed.request('/robin/');
    const page = await (await fetch(`${stack.agent}/metrics`)).text();
    const values = wanted.map((name) => Number(page.split(`${name} `)[1]?.split('\n')[0] ?? 0));
    return values.every((value) => value > 0) && values;
  });
  findings.check(
    figures !== null,
    `reported in the agent's metrics: ${figures === null ? 'timeout' : wanted.map((name, index) => `${name} ${figures[index]}`).join(', ')}`,
  );
}
