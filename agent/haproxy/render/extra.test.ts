import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import { configInstances, type RenderInput } from './input.ts';
import { validateHaproxyConfig } from './install.ts';
import { renderHaproxyConfig } from './render.ts';

const SECRETS = { statsUser: 'admin', statsPassword: 'x', edgePublicKeys: '' };

/** The comment below `haproxy:` moves every snippet down by one line. */
const text = (haproxy: string): string => `version: 1
site: { id: main }
services:
  gs: { routes: [/], instances: [{ id: gs-1, url: "http://127.0.0.1:1" }] }
haproxy:
  # a comment
${haproxy.replaceAll(/^/gm, '  ')}
`;

function inputOf(haproxy: string): RenderInput {
  const config = parseConfig(text(haproxy), 'site.yaml');
  return { config, instances: configInstances(config), secrets: SECRETS };
}

const contentOf = (input: RenderInput): string => renderHaproxyConfig(input)[0]?.content ?? '';
const sectionOf = (content: string, head: string): string =>
  content.slice(content.indexOf(`\n${head}\n`) + 1).split(/\n(?=[a-z])/)[0] ?? '';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'acgs-x'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const EXTRA = `extra:
  global: |
    tune.comp.maxlevel 2

    # a comment of the operator
    spread-checks 5
  defaults: maxconn 1000
  frontend: |
    acl blog path_beg /blog
    use_backend blog if blog
  services:
    gs: |
      timeout tunnel 2h
      http-response set-header X-Team gs
  other: |
    backend blog
        server b-1 127.0.0.1:2
    listen db
        mode tcp
        bind 127.0.0.1:3
        server db-1 127.0.0.1:4`;

test('each snippet of haproxy.extra is in its section, and HAProxy accepts the whole', async () => {
  const input = inputOf(EXTRA);
  const content = contentOf(input);
  expect(sectionOf(content, 'global')).toContain(
    '    tune.comp.maxlevel 2\n    # a comment of the operator\n',
  );
  expect(sectionOf(content, 'defaults')).toContain('    maxconn 1000\n');
  const frontend = sectionOf(content, 'frontend _gateway');
  expect(frontend.indexOf('use_backend blog if blog')).toBeGreaterThan(0);
  expect(frontend.indexOf('use_backend blog if blog')).toBeLessThan(frontend.indexOf('use_backend %[var('));
  const backend = sectionOf(content, 'backend gs');
  expect(backend.indexOf('timeout tunnel 2h')).toBeGreaterThan(0);
  expect(backend.indexOf('timeout tunnel 2h')).toBeLessThan(backend.indexOf('server gs-1'));
  expect(content.trimEnd()).toMatch(/server db-1 127\.0\.0\.1:4$/);
  await validateHaproxyConfig(input);
});

test.each([
  [
    'a block',
    'extra:\n  global: |\n    spread-checks 5\n    nonsense 1',
    'site.yaml:10: haproxy.extra.global, line 2',
  ],
  ['one line', 'extra:\n  defaults: nonsense 1', 'site.yaml:8: haproxy.extra.defaults, line 1'],
  [
    'a service',
    'extra:\n  services:\n    gs: |-  # note\n\n      nonsense 1',
    'site.yaml:11: haproxy.extra.services.gs, line 2',
  ],
  [
    'a section',
    'extra:\n  other: |\n    listen x\n        mode tcp\n        nonsense 1',
    'site.yaml:11: haproxy.extra.other, line 3',
  ],
])('an error in %s is reported at its line of the file', async (_, haproxy, place) => {
  const error = await validateHaproxyConfig(inputOf(haproxy)).then(
    () => '',
    (reason: Error) => reason.message,
  );
  const [, first, ...others] = error.split('\n');
  expect(first).toMatch(`[${place}] : unknown keyword 'nonsense'`);
  // The snippet of a service is in two backends.
  expect(others.filter((line) => line.includes(place))).toEqual([]);
});

test("the operator's tcp-request content rules apply to every request", () => {
  const end = 'tcp-request content accept if ordinary\n';
  expect(contentOf(inputOf('extra: { frontend: "acl blog path_beg /blog" }'))).toContain(end);
  expect(contentOf(inputOf('extra: { frontend: "tcp-request content reject if TRUE" }'))).not.toContain(end);
});

test('the position is not a part of the configuration', () => {
  expect(parseConfig(`# moved\n${text(EXTRA)}`)).toEqual(parseConfig(text(EXTRA)));
});

test.each([
  [
    'extra: { global: "frontend x" }',
    'haproxy.extra.global: "frontend x" is not allowed; expected a line that does not start',
  ],
  ['extra: { global: "back\\\\end x" }', 'haproxy.extra.global'],
  ['extra: { other: "mode tcp" }', 'haproxy.extra.other: "mode tcp" is not allowed; expected whole sections'],
  [
    'extra: { services: { nope: "mode http" } }',
    'haproxy.extra.services.nope: "mode http" is not allowed; expected one of gs',
  ],
  ['{ mode: beside, threads: 2 }', 'haproxy.threads: 2 is not allowed; expected no value with mode: beside'],
  ['{ mode: beside, extra: { global: "a" } }', 'haproxy.extra.global: "a" is not allowed; expected no value'],
  [
    '{ mode: beside, file: /a, mainFile: /a }',
    'haproxy.file: "/a" is not allowed; expected another file than haproxy.mainFile',
  ],
])('%s is refused', (haproxy, message) => {
  expect(() => parseConfig(text(haproxy), 'site.yaml')).toThrow(message);
});

const USER = `global
    stats socket /run/x.sock level admin
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 1s
frontend www
    bind 127.0.0.1:1080
    use_backend gs if { path_beg /gs }
`;

test('beside another file: only our sections, checked together with that file, alone or in a folder', async () => {
  const single = join(folder, 'user.cfg');
  writeFileSync(single, USER);
  const beside = inputOf(`mode: beside\nmainFile: ${single}\nfile: ${join(folder, 'acgs.cfg')}`);
  const content = contentOf(beside);
  expect(sectionOf(content, 'global')).toMatch(/^global\n {4}lua-load-per-thread \S+\n$/);
  // After our own defaults: it must not inherit those of the other file.
  expect(content).toMatch(/^defaults$[\s\S]*^backend acgs-lb:[0-9a-f]{16}\n {4}disabled$/m);
  expect(content).not.toMatch(/^ +(?:description|stats socket|nbthread|chroot) /m);
  expect(sectionOf(content, 'defaults')).not.toContain('http-error');
  expect(sectionOf(content, 'backend gs')).toContain('http-request del-header x-acgs- -m beg\n');
  await validateHaproxyConfig(beside);

  const conf = join(folder, 'conf.d');
  mkdirSync(conf, { recursive: true });
  writeFileSync(join(conf, '10-user.cfg'), USER);
  const inFolder = inputOf(`mode: beside\nmainFile: ${conf}\nfile: ${join(conf, '90-acgs.cfg')}`);
  await validateHaproxyConfig(inFolder);
  // The installed file is not read a second time.
  writeFileSync(join(conf, '90-acgs.cfg'), content);
  await validateHaproxyConfig(inFolder);
});

test('beside another file, an error in that file is named with its place', async () => {
  const broken = join(folder, 'broken.cfg');
  const check = (more: string) => {
    writeFileSync(broken, USER + more);
    return validateHaproxyConfig(
      inputOf(`mode: beside\nmainFile: ${broken}\nfile: ${join(folder, 'acgs.cfg')}`),
    );
  };
  await expect(check('    nonsense\n')).rejects.toThrow(
    /rejects your own configuration[\s\S]*broken\.cfg:11\] : unknown keyword 'nonsense'/,
  );
  await expect(check('backend gs\n    server a 127.0.0.1:1\n')).rejects.toThrow("'gs'");
  const missing = inputOf(
    `mode: beside\nmainFile: ${join(folder, 'none.cfg')}\nfile: ${join(folder, 'acgs.cfg')}`,
  );
  await expect(validateHaproxyConfig(missing)).rejects.toThrow('haproxy.mainFile');
});

test('beside another file that names a key this user cannot read, our part alone is checked', async () => {
  const secret = join(folder, 'secret.cfg');
  writeFileSync(secret, USER.replace('1080\n', `1080 ssl crt ${join(folder, 'none.pem')}\n`));
  const options = `mode: beside\nmainFile: ${secret}\nfile: ${join(folder, 'acgs.cfg')}\n`;
  await validateHaproxyConfig(inputOf(options));
  await expect(validateHaproxyConfig(inputOf(`${options}extra: { defaults: nonsense }`))).rejects.toThrow(
    'site.yaml:10: haproxy.extra.defaults',
  );
});

test('a service with the name of a property that every object has gets no lines', () => {
  const config = parseConfig(
    'version: 1\nsite: { id: main }\nservices: { constructor: { routes: [/] } }\nhaproxy: { extra: { global: "spread-checks 5" } }\n',
  );
  const content = contentOf({ config, instances: configInstances(config), secrets: SECRETS });
  expect(sectionOf(content, 'backend constructor')).not.toContain('native code');
});
