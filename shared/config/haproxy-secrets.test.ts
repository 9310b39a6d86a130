import { expect, test } from 'vitest';
import { hideHaproxySecrets } from './haproxy-secrets.ts';

test.each([
  ['user op insecure-password s3cret groups admins', 'user op insecure-password (hidden) groups admins'],
  ['user op password $5$s3cret', 'user op password (hidden)'],
  [String.raw`user op insecure-password "a \" s3cret"`, 'user op insecure-password (hidden)'],
  [String.raw`user op insecure-password a\ s3cret`, 'user op insecure-password (hidden)'],
  ["user op insecure-password 'a s3cret' groups x", 'user op insecure-password (hidden) groups x'],
  ['stats auth admin:s3cret', 'stats auth (hidden)'],
  ['\tSTATS  AUTH admin:s3cret', '\tSTATS  AUTH (hidden)'],
  ['setenv UPSTREAM_KEY s3cret', 'setenv UPSTREAM_KEY (hidden)'],
  [String.raw`tcp-check send "AUTH s3cret\r\n"`, 'tcp-check send (hidden)'],
  ['http-request set-header Authorization "Bearer s3cret"', 'http-request set-header Authorization (hidden)'],
  [
    'http-check send meth GET uri /x hdr X-Api-Key s3cret',
    'http-check send meth GET uri /x hdr X-Api-Key (hidden)',
  ],
  ['acl known req.hdr(authorization) -m str "Bearer s3cret"', 'acl known req.hdr(authorization)(hidden)'],
  [
    'http-request deny unless { req.cook(session) s3cret }',
    'http-request deny unless { req.cook(session)(hidden)}',
  ],
  [
    'http-request set-var(txn.m) path,hmac(sha256,s3cret),hex',
    'http-request set-var(txn.m) path,hmac((hidden)),hex',
  ],
  ['httpclient proxy http://me:s3cret@192.0.2.1/', 'httpclient proxy http://me:(hidden)@192.0.2.1/'],
])('%s', (text, shown) => {
  expect(hideHaproxySecrets(`bind :80\n${text}\noption x`)).toBe(`bind :80\n${shown}\noption x`);
});

test('ordinary lines stay', () => {
  const text = `tune.bufsize 32768
acl is_static path_beg /static
http-request set-header X-Forwarded-Proto https if { ssl_fc }
http-request deny if { req.hdr(user-agent) -i bot }
server a 192.0.2.1:80 check`;
  expect(hideHaproxySecrets(text)).toBe(text);
});

test('hostile text takes linear time', () => {
  // Quadratic time would be minutes.
  for (const part of ['hdr(key', 'hdr key', 'password ', 'setenv ', 'stats auth', '"', '://a:', 'hmac(']) {
    const text = part.repeat(300_000 / part.length);
    expect(hideHaproxySecrets(text).length).toBeGreaterThan(0);
  }
});
