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
  networks?: { default: { aliases: string[] } };
}

interface Compose {
  services: Record<string, Container>;
}

test('every instance of the containers’ configuration is a container that listens there', () => {
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

test('HAProxy and agent share a network that outlives both, under HAProxy’s name', () => {
  const { services } = parse(read('docker-compose.yml'), { merge: true }) as Compose;
  for (const name of ['haproxy_load_balancer', 'agent']) {
    expect(services[name]?.network_mode).toBe('service:site_network');
  }
  expect(services.site_network?.networks?.default.aliases).toEqual(['haproxy_load_balancer']);
});

test('HAProxy’s first configuration is as the agent makes it: one without the group’s socket would keep it out', () => {
  const { services } = parse(read('docker-compose.yml'), { merge: true }) as Compose;
  for (const name of ['haproxy_config', 'agent']) {
    expect(services[name]?.environment?.ENVIRONMENT).toBe('production');
  }
});

test('everything that stays comes back by itself, and what can say how it is does', () => {
  const { services } = parse(read('docker-compose.yml'), { merge: true }) as Compose;
  for (const [name, { restart }] of Object.entries(services)) {
    expect(`${name} ${restart}`).toBe(`${name} ${name === 'haproxy_config' ? 'no' : 'unless-stopped'}`);
  }
  for (const name of ['agent', 'edge', 'redis', 'postgres'])
    expect(services[name]?.healthcheck).toBeDefined();
  expect(read('Dockerfile.haproxy')).toMatch(/^HEALTHCHECK/m);
  expect(services.haproxy_load_balancer?.image).toBe('acgs-haproxy:latest');
});
