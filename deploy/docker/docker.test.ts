import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
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
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
  profiles?: string[];
  networks?: { default: { aliases: string[] } };
}

interface ScrapeTargets {
  targets: string[];
}

interface Compose {
  services: Record<string, Container>;
}

/** With a limit on aliases, the parser refuses a file with many containers. */
const composeFile = () => parse(read('docker-compose.yml'), { merge: true, maxAliasCount: -1 }) as Compose;

test('every configured instance is a container that listens on its port', () => {
  const compose = composeFile();
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
  const { services } = composeFile();
  for (const name of ['haproxy_load_balancer', 'agent']) {
    expect(services[name]?.network_mode).toBe('service:site_network');
  }
  expect(services.site_network?.networks?.default.aliases).toEqual(['haproxy_load_balancer']);
});

test('the first HAProxy configuration is rendered for production, like the agent’s: otherwise the agent has no access to the socket', () => {
  const { services } = composeFile();
  for (const name of ['haproxy_config', 'agent']) {
    expect(services[name]?.environment?.ENVIRONMENT).toBe('production');
  }
});

test('every long-running container restarts automatically, and the main ones have a health check', () => {
  const { services } = composeFile();
  for (const [name, { restart }] of Object.entries(services)) {
    expect(`${name} ${restart}`).toBe(`${name} ${name === 'haproxy_config' ? 'no' : 'unless-stopped'}`);
  }
  for (const name of ['haproxy_load_balancer', 'agent', 'edge', 'redis', 'postgres'])
    expect(services[name]?.healthcheck).toBeDefined();
});

test('Redis requires a password, which the agent and the health check use', () => {
  const { services } = composeFile();
  const { command = [], environment } = services.redis ?? {};
  expect(command[command.indexOf('--requirepass') + 1]).toContain('${REDIS_PASSWORD:?');
  expect(environment?.REDISCLI_AUTH).toContain('${REDIS_PASSWORD:?');
  expect(services.agent?.environment?.REDIS_URL).toMatch(/^redis:\/\/:\$\{REDIS_PASSWORD:\?.*\}@redis:6379/);
});

test('the profile observability scrapes every container, with the jobs and rules of deploy/prometheus', () => {
  const { services } = composeFile();
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
  const { services } = composeFile();
  const used = read('../grafana/provisioning/datasources/acgs.yml').match(/(?<=\$\{)\w+(?=\})/g) ?? [];
  expect(used.length).toBeGreaterThan(2);
  for (const name of used) expect(services.grafana?.environment?.[name], name).toBeTruthy();
});

test('no container can write outside its volumes, has a capability or gains one', () => {
  const { services } = composeFile();
  for (const [name, container] of Object.entries(services)) {
    expect({ name, ...container }).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    });
  }
});

test('every image from a registry is pinned by digest', () => {
  const { services } = composeFile();
  const images = Object.values(services)
    .map(({ image }) => image)
    .filter((image) => !/^\$\{ACGS_IMAGE:-acgs-lb:latest\}$/.test(image));
  const base = /^ARG DEBIAN=(.*)$/m.exec(read('Dockerfile'))?.[1] ?? '';
  for (const image of [...images, base]) expect(image).toMatch(/^docker\.io\/.*@sha256:[0-9a-f]{64}$/);
});

/** Docker's plugin, else the older program. */
const composeCommand = [['docker', 'compose'], ['docker-compose']].find(
  ([command = '', ...args]) => spawnSync(command, [...args, 'version']).status === 0,
);

test.skipIf(!composeCommand)(
  'docker compose accepts the file; only the profile starts Prometheus and Grafana',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'acgs-compose-'));
    try {
      cpSync(join(import.meta.dirname, 'docker-compose.yml'), join(folder, 'docker-compose.yml'));
      for (const name of ['agent.env', 'edge.env']) writeFileSync(join(folder, name), '');
      const [command = '', ...before] = composeCommand ?? [];
      const run = (...args: string[]) =>
        spawnSync(command, [...before, '-f', 'docker-compose.yml', ...args], {
          cwd: folder,
          encoding: 'utf8',
          env: { ...process.env, POSTGRES_PASSWORD: 'p', REDIS_PASSWORD: 'r' },
        });
      expect(run('config').stderr).not.toMatch(/error|invalid|unsupported/i);
      const { status, stdout, stderr } = run('--profile', 'observability', 'config');
      expect(status, stderr).toBe(0);
      const { services } = parse(stdout) as Compose;
      expect(services).toHaveProperty('grafana.environment.ACGS_PG_PASSWORD', 'p');
      expect(services).toHaveProperty('prometheus.profiles', ['observability']);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
