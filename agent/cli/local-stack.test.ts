import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import { deriveConfig } from './local-stack.ts';

const SHIPPED = readFileSync(new URL('../../acgs-lb.yaml', import.meta.url), 'utf8');
const derive = (text: string, moveInstances = true) =>
  deriveConfig(text, parseConfig(text), { portOffset: 200, moveInstances, runFolder: '/tmp/r' });

it('shifts every port and puts sockets and files into the private folder', () => {
  const { config, edge } = derive(SHIPPED);
  expect(edge).toEqual({ host: '127.0.0.1', port: 8987 });
  expect(config).toMatchObject({
    site: { gateways: ['http://127.0.0.1:8290'] },
    edge: { url: 'http://127.0.0.1:8987' },
    agent: { bind: '127.0.0.1:9600' },
    haproxy: {
      bind: ['127.0.0.1:8290'],
      stats: '127.0.0.1:8280',
      agentCheck: '127.0.0.1:9601',
      socket: '/tmp/r/admin.sock',
      masterSocket: '/tmp/r/master.sock',
      file: '/tmp/r/haproxy.cfg',
    },
  });
  expect(config.services.gs?.instances.map(({ url }) => url)).toEqual([
    'http://127.0.0.1:8204',
    'http://127.0.0.1:8214',
  ]);
});

it('keeps the address of instances that already run', () => {
  const { config } = derive(SHIPPED, false);
  expect(config.services.gs?.instances[0]?.url).toBe('http://127.0.0.1:8004');
});

it('removes the cloud account and other machines from a production file', () => {
  const text = SHIPPED.replace('url: http://127.0.0.1:8787', 'url: https://edge.example.com')
    .replace('gateways: [http://127.0.0.1:8090]', 'gateways: [https://gw.example.com]')
    .replace('bind: [127.0.0.1:8090]', 'bind: ["*:8090"]\n  peers: [{ name: b, address: "10.0.0.2:1024" }]');
  const { config, edge, notApplied } = derive(text.replace('edge:', 'edge:\n  publish: { kvApi: true }'));
  expect(edge.port).toBe(8987);
  expect(config.edge).toMatchObject({
    url: 'http://127.0.0.1:8987',
    publish: { kvApi: false, ingest: true },
  });
  expect(config.site.gateways).toEqual(['http://127.0.0.1:8290']);
  expect(config.haproxy.peers).toEqual([]);
  expect(notApplied).toEqual(
    expect.arrayContaining(['site.gateways', 'edge.publish.kvApi', 'haproxy.peers']),
  );
});

it('rejects a port offset beyond the highest port', () => {
  const text = SHIPPED.replace('127.0.0.1:8000', '127.0.0.1:65400');
  expect(() => derive(text)).toThrow(
    '--port-offset 200 is too large for port 65400: the highest port is 65535',
  );
});
