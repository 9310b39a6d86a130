import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseConfig } from '../../shared/config/load.ts';

const read = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8');

interface Container {
  image: string;
  restart: string;
  command?: string[];
  healthcheck?: object;
  environment?: Record<string, string>;
  network_mode?: string;
  profiles?: string[];
  networks?: { default: { aliases: string[] } };
}

interface ScrapeTargets {
  targets: string[];
}

interface Compose {
  services: Record<string, Container>;
}

test('every configured instance is a container that listens on its port', () => {
  const compose = parse(read('docker-compose.yml'), { merge: true }) as Compose;
  const config = parseConfig(read('acgs-lb.yaml'));
  for (const service of Object.values(config.services)) {
    for (const { id, url } of service.instances) {
      const { hostname, port } = new URL(url);
      expect(compose.services[hostname]?.command).toEqual([service.id, id, port]);
    }
  }
  for (const gateway of [...config.site.gateways, config.edge.url ?? '']) {
    expect(compose.services).toHaveProperty([new URL(gateway).hostname]);
  }
});

test('HAProxy and agent share a network namespace that has the alias haproxy_load_balancer', () => {
  const { services } = parse(read('docker-compose.yml'), { merge: true }) as Compose;
  for (const name of ['haproxy_load_balancer', 'agent']) {
    expect(services[name]?.network_mode).toBe('service:site_network');
  }
  expect(services.site_network?.networks?.default.aliases).toEqual(['haproxy_load_balancer']);
});

test('the first HAProxy configuration is rendered for production, like the agent’s: otherwise the agent has no access to the socket', () => {
  const { services } = parse(read('docker-compose.yml'), { merge: true }) as Compose;
  for (const name of ['haproxy_config', 'agent']) {
    expect(services[name]?.environment?.ENVIRONMENT).toBe('production');
  }
});

test('every long-running container restarts automatically, and the main ones have a health check', () => {
  const { services } = parse(read('docker-compose.yml'), { merge: true }) as Compose;
  for (const [name, { restart }] of Object.entries(services)) {
    expect(`${name} ${restart}`).toBe(`${name} ${name === 'haproxy_config' ? 'no' : 'unless-stopped'}`);
  }
  for (const name of ['agent', 'edge', 'redis', 'postgres'])
    expect(services[name]?.healthcheck).toBeDefined();
  expect(read('Dockerfile.haproxy')).toMatch(/^HEALTHCHECK/m);
  expect(services.haproxy_load_balancer?.image).toBe('acgs-haproxy:latest');
});

test('Redis requires a password, which the agent and the health check use', () => {
  const { services } = parse(read('docker-compose.yml'), { merge: true }) as Compose;
  const { command = [], environment } = services.redis ?? {};
  expect(command[command.indexOf('--requirepass') + 1]).toContain('${REDIS_PASSWORD:?');
  expect(environment?.REDISCLI_AUTH).toContain('${REDIS_PASSWORD:?');
  expect(services.agent?.environment?.REDIS_URL).toMatch(/^redis:\/\/:\$\{REDIS_PASSWORD:\?.*\}@redis:6379/);
});

test('the profile observability scrapes every container, with the jobs and rules of deploy/prometheus', () => {
  const { services } = parse(read('docker-compose.yml'), { merge: true }) as Compose;
  const [inContainers, onHost] = ['prometheus.yml', '../prometheus/prometheus.yml'].map(
    (name) =>
      parse(read(name)) as { scrape_configs: { job_name: string; static_configs: ScrapeTargets[] }[] },
  );
  const jobs = inContainers?.scrape_configs ?? [];
  const withoutTargets = (job: object) => ({ ...job, static_configs: [] });
  expect(jobs.map(withoutTargets)).toEqual(onHost?.scrape_configs.map(withoutTargets));
  const scraped = new Map(
    jobs.map(({ job_name: job, static_configs: groups }) => [job, groups.flatMap(({ targets }) => targets)]),
  );
  const config = parseConfig(read('acgs-lb.yaml'));
  const instances = Object.values(config.services).flatMap((service) => service.instances);
  expect(scraped.get('acgs-services')).toEqual(instances.map(({ url }) => new URL(url).host));
  const gateway = new URL(config.site.gateways[0] ?? '').hostname;
  expect(scraped.get('acgs-agent')).toEqual([config.agent.bind.replace('0.0.0.0', gateway)]);
  expect(scraped.get('haproxy')).toEqual([config.haproxy.stats.replace('*', gateway)]);
  for (const name of ['prometheus', 'grafana']) expect(services[name]?.profiles).toEqual(['observability']);
});

test('Grafana gets every variable that its provisioning uses', () => {
  const { services } = parse(read('docker-compose.yml'), { merge: true }) as Compose;
  const used = read('../grafana/provisioning/datasources/acgs.yml').match(/(?<=\$\{)\w+(?=\})/g) ?? [];
  expect(used.length).toBeGreaterThan(2);
  for (const name of used) expect(services.grafana?.environment?.[name], name).toBeTruthy();
});
