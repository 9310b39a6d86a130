import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { startChild, waitUntilReady } from '../../dev/servers/child.ts';

interface ScrapeTargets {
  haproxyStats: string | null;
  agent: string;
  instances: { service: string; url: string }[];
}

interface ScrapeConfig {
  global: { scrape_interval: string; evaluation_interval: string };
  scrape_configs: {
    job_name: string;
    static_configs: { targets: string[]; labels?: Record<string, string> }[];
  }[];
}

/** Starts a real Prometheus with the shipped configuration and rules, a stack's targets and a scrape interval of 1 s. */
export async function startPrometheus(
  stack: ScrapeTargets,
  port: number,
): Promise<{ url: string; stop(): Promise<void> }> {
  const dir = mkdtempSync(join(tmpdir(), 'acgs-prom-'));
  const config = parse(readFileSync(join(import.meta.dirname, 'prometheus.yml'), 'utf8')) as ScrapeConfig;
  config.global = { ...config.global, scrape_interval: '1s', evaluation_interval: '1s' };
  for (const job of config.scrape_configs) job.static_configs = targetsOf(job.job_name, stack, port);
  writeFileSync(join(dir, 'prometheus.yml'), stringify(config));
  cpSync(join(import.meta.dirname, 'rules'), join(dir, 'rules'), { recursive: true });
  const url = `http://127.0.0.1:${port}`;
  const child = await startChild({
    name: 'Prometheus',
    command: 'prometheus',
    args: [
      `--config.file=${dir}/prometheus.yml`,
      `--storage.tsdb.path=${dir}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    logFile: join(dir, 'log'),
  });
  const stop = async () => {
    await child.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  await waitUntilReady(child, async () => (await fetch(`${url}/-/ready`)).ok).catch(
    async (error: unknown) => {
      await stop();
      throw error;
    },
  );
  return { url, stop };
}

function targetsOf(
  job: string,
  stack: ScrapeTargets,
  own: number,
): ScrapeConfig['scrape_configs'][0]['static_configs'] {
  switch (job) {
    case 'haproxy':
      return stack.haproxyStats ? [{ targets: [new URL(stack.haproxyStats).host] }] : [];
    case 'acgs-agent':
      return [{ targets: [new URL(stack.agent).host] }];
    case 'acgs-services':
      return stack.instances.map(({ service, url }) => ({
        targets: [new URL(url).host],
        labels: { service },
      }));
    default:
      return [{ targets: [`127.0.0.1:${own}`] }];
  }
}
