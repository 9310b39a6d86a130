import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { serviceInstances } from './dns.ts';
import { createFileReader, parseInstanceFile } from './file.ts';

const folder = mkdtempSync(join(tmpdir(), 'acgs-list-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const { signal } = new AbortController();

test('a file holds URLs or instances, in YAML or JSON', () => {
  const instances = [
    { url: 'http://10.0.0.1:8080', weight: 100, priority: 1 },
    { id: 'web-2', url: 'http://10.0.0.2:8080', weight: 50, priority: 2, metadata: { rack: 'b' } },
  ];
  const yaml =
    '- http://10.0.0.1:8080\n- { id: web-2, url: "http://10.0.0.2:8080", weight: 50, priority: 2, metadata: { rack: b } }';
  expect(parseInstanceFile(yaml)).toEqual({ instances, problems: [] });
  expect(parseInstanceFile(JSON.stringify(instances))).toEqual({ instances, problems: [] });
  expect(parseInstanceFile('[]')).toEqual({ instances: [], problems: [] });
});

test('an entry that cannot be used is named with its value; the others are read', () => {
  const { instances, problems } = parseInstanceFile(
    '["http://10.0.0.1", "10.0.0.2:80", { "url": "http://10.0.0.3", "weight": 999 }, { "url": "http://10.0.0.4", "x": 1 }, 7, "http://10.0.5"]',
  );
  expect(instances).toHaveLength(1);
  expect(problems).toEqual([
    'entry 2: "10.0.0.2:80" is not allowed: url: an http:// or https:// origin without path, credentials, abbreviated address or port 0',
    expect.stringContaining('entry 3: {"url":"http://10.0.0.3","weight":999} is not allowed: weight: '),
    expect.stringContaining('entry 4: {"url":"http://10.0.0.4","x":1} is not allowed: '),
    expect.stringContaining('entry 5: 7 is not allowed: '),
    expect.stringContaining('entry 6: "http://10.0.5" is not allowed: '),
  ]);
});

test('a file without a list is an error, not an empty list', () => {
  expect(() => parseInstanceFile('')).toThrow('the file holds null; expected a list of instances');
  expect(() => parseInstanceFile('{"a":1}')).toThrow('the file holds {"a":1}; expected a list of instances');
  expect(() => parseInstanceFile('- [')).toThrow(/^line 1:/);
  expect(() => parseInstanceFile(JSON.stringify(Array(2_001).fill('x')))).toThrow('at most 2000 are read');
});

test('a file that is missing, a pipe, or too large', async () => {
  const path = join(mkdtempSync(join(folder, 'read-')), 'list');
  const read = () => createFileReader(path).read(signal);
  await expect(read()).rejects.toThrow(`${path}: ENOENT`);
  execFileSync('mkfifo', [path]);
  await expect(read()).rejects.toThrow('is not a regular file');
  rmSync(path);
  writeFileSync(path, ' '.repeat(1_048_577));
  await expect(read()).rejects.toThrow('has 1048577 bytes; at most 1048576 are read');
});

test('SRV records: priorities become levels, weights keep their ratio within a level', () => {
  const record = (name: string, priority: number, weight: number, port = 80) => ({
    name,
    priority,
    weight,
    port,
  });
  const addresses = new Map([
    ['a', { addresses: ['10.0.0.1'] }],
    ['b', { addresses: ['10.0.0.2', '10.0.0.3'] }],
    ['c', { addresses: [] }],
  ]);
  const { instances, problems } = serviceInstances(
    [
      record('a', 10, 60_000),
      record('b', 10, 30_000),
      record('b', 20, 0, 81),
      record('c', 5, 1),
      record('a', 10, 1, 0),
    ],
    addresses,
    'http',
  );
  expect(instances.map(({ url, weight, priority }) => [url, weight, priority])).toEqual([
    ['http://10.0.0.1', 100, 2],
    ['http://10.0.0.2', 50, 2],
    ['http://10.0.0.3', 50, 2],
    ['http://10.0.0.2:81', 100, 3],
    ['http://10.0.0.3:81', 100, 3],
  ]);
  expect(problems).toEqual(['the SRV target c has no address', 'the SRV record of a has port 0']);
});
