import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { expect, test } from 'vitest';
import { clientOptions } from './connect.ts';
import { parsePostgresUrl } from './postgres-url.ts';

const parse = (url: string) => parsePostgresUrl(url, undefined);

test('parses one host, several hosts, and the folder of a socket', () => {
  expect(parse('postgres://u:p%40ss@h:1/d?sslmode=disable')).toMatchObject({
    targets: [{ host: 'h', port: 1, ssl: false }],
    readWrite: false,

    user: 'u',
    password: 'p@ss',
    database: 'd',
  });
  expect(parse('postgresql://u@a,b:2,[::1]/d?sslmode=disable')).toMatchObject({
    targets: [
      { host: 'a', port: 5432 },
      { host: 'b', port: 2 },
      { host: '::1', port: 5432 },
    ],
    readWrite: true,
  });
  expect(parse('postgresql://a,b/d?target_session_attrs=any').readWrite).toBe(false);
  expect(parse('postgresql://postgres@/postgres?host=%2Frun%2Fpg').targets).toEqual([
    { host: '/run/pg', port: 5432, ssl: false },
  ]);
  expect(parse('postgresql:///d?host=a,b&port=1,2&sslmode=disable').environment).toMatchObject({
    PGHOST: 'a,b',
    PGPORT: '1,2',
    PGDATABASE: 'd',
    PGTARGETSESSIONATTRS: 'read-write',
  });
});

test('the host name is not verified only when sslrootcert names an authority', () => {
  const named = (query: string) => {
    const { ssl } = parse(`postgres://h/d?${query}`).targets[0];
    expect(ssl).not.toHaveProperty('rejectUnauthorized');
    return ssl && ssl.checkServerIdentity === undefined;
  };
  const folder = mkdtempSync(join(tmpdir(), 'acgs-url-'));
  const ca = join(folder, 'ca.pem');
  writeFileSync(ca, rootCertificates[0] ?? '');
  try {
    expect(named('sslmode=verify-ca')).toBe(true);
    expect(named(`sslmode=verify-ca&sslrootcert=${ca}`)).toBe(false);
    expect(named(`sslmode=require&sslrootcert=${ca}`)).toBe(false);
    expect(named(`sslmode=verify-full&sslrootcert=${ca}`)).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('connect_timeout applies to the driver and to the libpq tools', () => {
  const given = parse('postgres://h/d?connect_timeout=15');
  expect(given).toMatchObject({ connectTimeoutMs: 15_000, environment: { PGCONNECT_TIMEOUT: '15' } });
  expect(clientOptions(given, given.targets[0]).connectionTimeoutMillis).toBe(15_000);
  for (const none of [parse('postgres://h/d?connect_timeout=0'), parse('postgres://h/d')]) {
    expect(none).not.toHaveProperty('connectTimeoutMs');
    expect(none.environment).not.toHaveProperty('PGCONNECT_TIMEOUT');
  }
});

test('PGSSLMODE is the default of sslmode; the URL overrides it', () => {
  expect(parsePostgresUrl('postgres://h/d', 'require').targets).toHaveLength(1);
  expect(parsePostgresUrl('postgres://h/d?sslmode=disable', 'require').targets[0].ssl).toBe(false);
});

test.each([
  ['mysql://u:secret@h/d', /postgres:\/\/ or postgresql/],
  ['postgres://u:sec/ret@h/d', /%2F/],
  ['postgres://u:secret@h/d?sslmode=no-verify', /sslmode must be one of disable allow prefer/],
  ['postgres://u:secret@h/d?sslrootcrt=x', /"sslrootcrt" is unknown/],
  ['postgres://u:secret@h/d?target_session_attrs=standby', /target_session_attrs must be one of any/],
  ['postgres://u:secret@h/d?sslrootcert=/nowhere', /sslrootcert=\/nowhere cannot be read \(ENOENT\)/],
  [`postgres://u:secret@h/d?sslcert=${import.meta.filename}`, /contains no PEM certificate/],
  ['postgres://u:secret@h/d?sslmode=require&sslrootcert=system', /requires sslmode=verify-full/],
  ['postgres://u:secret@/d?host=a&port=none', /port must be a number/],
  ['postgres://u:secret@h/d?connect_timeout=soon', /connect_timeout must be a whole number/],
])('%s is rejected with an error that does not contain the password', (url, why) => {
  expect(() => parse(url)).toThrow(why);
  expect(() => parse(url)).not.toThrow(/secret|sec/);
  expect(() => parse(url)).toThrow(/^DATABASE_URL/);
});
