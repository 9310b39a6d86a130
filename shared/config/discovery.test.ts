import { expect, test } from 'vitest';
import { ConfigError, parseConfig } from './load.ts';

test('instancesFrom: exactly one source, and only its own keys', () => {
  const errors = (instancesFrom: string): string[] => {
    try {
      parseConfig(
        `version: 1\nsite: { id: main }\nservices: { web: { routes: [/], instancesFrom: ${instancesFrom} } }`,
      );
      return [];
    } catch (error) {
      return error instanceof ConfigError
        ? error.problems.map((line) => line.replace(/^.*instancesFrom/, ''))
        : ['?'];
    }
  };
  expect(errors('{ dns: web.internal, port: 80 }')).toEqual([]);
  expect(errors('{ dns: _http._tcp.web.internal, server: "10.0.0.2:53" }')).toEqual([]);
  expect(errors(`{ consul: web, token: "$\{CONSUL_HTTP_TOKEN}", server: "http://127.0.0.1:8500" }`)).toEqual(
    [],
  );
  expect(errors('{ docker: { app: web }, server: "unix:///run/docker.sock" }')).toEqual([]);
  const one = 'expected exactly one of dns, file, consul, docker';
  expect(errors('{}')).toEqual([`: {} is not allowed; ${one}`]);
  expect(errors('{ dns: web.internal, file: /x }')[0]).toContain(one);
  expect(errors('{ dns: web.internal }')[0]).toContain('.port: missing; expected a port');
  expect(errors('{ dns: _http._tcp.web, port: 80 }')[0]).toContain('.port: 80 is not allowed');
  expect(errors('{ file: /x, port: 80 }')[0]).toContain(
    '.port: 80 is not allowed; expected no value with file',
  );
  expect(errors('{ file: x }')[0]).toContain('expected an absolute path');
  expect(errors('{ file: /x, minimum: 5, maximum: 2 }')[0]).toContain(
    '.minimum: 5 is not allowed; expected at most',
  );
  expect(errors('{ dns: web, port: 80, server: dns.internal }')[0]).toContain(
    'the IP address of a DNS server',
  );
  expect(errors('{ docker: {} }')[0]).toContain('at least one label');
  expect(errors('{ consul: web, token: plain-secret }')[0]).not.toContain('plain-secret');
});
