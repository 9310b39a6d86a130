import assert from 'node:assert/strict';
import { compileAccess } from '../../../shared/access.ts';
import { parseClientAddress } from '../../../shared/address.ts';
import { decodePins, encodePins } from '../../../shared/affinity/pins.ts';
import { encodeEnvelope, parseEnvelope } from '../../../shared/envelope.ts';
import { rateLimitHeaderItem } from '../../../shared/limits/headers.ts';
import { compileRateLimit } from '../../../shared/limits/policy.ts';
import { coversReading, pathReadings, rulePrefixes } from '../../../shared/path.ts';
import { hostName, parseRequestUrl } from '../../../shared/request-url.ts';
import {
  type SnapshotVerifyKey,
  signSnapshot,
  unverifiedOrder,
  verifySnapshot,
} from '../../../shared/snapshot/signature.ts';
import {
  openSiteDirectory,
  SITE_DIRECTORY,
  type SiteDirectory,
  signSiteDirectory,
  usableKeys,
} from '../../../shared/snapshot/site-directory.ts';
import {
  acceptsStale,
  ageSeconds,
  isPrivate,
  isSharedCacheable,
  isStorable,
  servableMs,
} from '../../../shared/stale-cache.ts';
import { formatTraceparent, isRequestId, parseTraceparent } from '../../../shared/trace-context.ts';
import { AffinityCookies } from '../../../worker/io/affinity-cookie.ts';
import { type FuzzTarget, jsonOf, utf8 } from '../target.ts';

const NOW = 1_700_000_000_000;

const snapshot: FuzzTarget = {
  name: 'snapshot',
  holds: 'snapshot: nothing unsigned is accepted, and no signed bytes make the verifier throw',
  async start() {
    const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
    if (!('privateKey' in pair)) throw new Error('Ed25519 makes a pair');
    const keys: SnapshotVerifyKey[] = [{ kid: 'k1', site: 'main', publicKey: pair.publicKey }];
    return async (input) => {
      const bytes = Uint8Array.from(Buffer.from(input, 'latin1'));
      assert.equal((await verifySnapshot(bytes, 'main', keys)).ok, false);
      unverifiedOrder(bytes);
      const body = bytes.subarray(bytes.indexOf(10) + 1);
      const signature = Buffer.from(await crypto.subtle.sign('Ed25519', pair.privateKey, body));
      const head = Buffer.from(`k1.${signature.toString('base64url')}\n`);
      const opened = await verifySnapshot(Uint8Array.from(Buffer.concat([head, body])), 'main', keys);
      if (!opened.ok) return;
      assert.equal(opened.snapshot.v, 1);
      assert.equal(opened.snapshot.site, 'main');
      const sealed = await signSnapshot(opened.snapshot, { kid: 'k1', privateKey: pair.privateKey });
      assert.equal((await verifySnapshot(Uint8Array.from(sealed), 'main', keys)).ok, true);
    };
  },
};

const siteDirectory: FuzzTarget = {
  name: 'site-directory',
  holds: 'site directory: refused, or keys for other sites than those of the environment',
  async start() {
    const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
    if (!('privateKey' in pair)) throw new Error('Ed25519 makes a pair');
    const keys: SnapshotVerifyKey[] = [{ kid: 'd1', site: SITE_DIRECTORY, publicKey: pair.publicKey }];
    const own: SnapshotVerifyKey[] = [{ kid: 'k1', site: 'main', publicKey: pair.publicKey }];
    const signer = { kid: 'd1', privateKey: pair.privateKey };
    return async (input) => {
      assert.equal((await openSiteDirectory(Uint8Array.from(Buffer.from(input, 'latin1')), keys)).ok, false);
      const document = jsonOf(input);
      if (document === undefined) return;
      // The signature says who wrote the document, not that it has the form.
      const sealed = await signSiteDirectory(document as SiteDirectory, signer);
      assert.equal((await openSiteDirectory(sealed, own)).ok, false);
      const opened = await openSiteDirectory(sealed, keys);
      if (!opened.ok) return assert(opened.signed && opened.why !== '');
      assert(opened.seq > 0);
      for (const { site, kid } of usableKeys(opened.keys, { sites: ['main'], verifyKeys: own })) {
        assert.notEqual(site, 'main');
        assert.notEqual(kid, 'k1');
        assert.notEqual(site, SITE_DIRECTORY);
      }
    };
  },
};

const FORBIDDEN = /\b(?:no-store|private)\b/i;

/** A response whose `Cache-Control` is the input, and a request for it. */
const cacheControl: FuzzTarget = {
  name: 'cache-control',
  holds: 'Cache-Control and Age: nothing private is stored or shared, and times are finite and bounded',
  start: () => (input) => {
    const [control = '', age = '', targeted = ''] = input.split('\n');
    const fields = new Map([
      ['cache-control', control],
      ['age', age],
      ['cdn-cache-control', targeted],
      ['content-length', '2'],
    ]);
    const headers = { get: (name: string) => fields.get(name) ?? null, keys: () => fields.keys() };
    const request = { method: 'GET', headers: { get: () => null, keys: () => [] } };
    if (isStorable(request, { status: 200, headers })) {
      assert.doesNotMatch(control, FORBIDDEN);
      assert.doesNotMatch(targeted, FORBIDDEN);
      assert.match(control, /public|s-maxage/i);
    }
    if (FORBIDDEN.test(control)) assert(!isSharedCacheable(headers, NOW) && isPrivate(headers));
    const servable = servableMs(headers, 60_000);
    assert(servable >= 0 && servable <= 60_000);
    assert(ageSeconds(headers) >= 0);
    acceptsStale({ method: 'GET', headers });
  },
};

const cookie: FuzzTarget = {
  name: 'cookie',
  holds: 'affinity cookie: a forged one is ignored; what was sealed has the documented form',
  async start() {
    const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
      'encrypt',
      'decrypt',
    ]);
    const cookies = new AffinityCookies([{ kid: 'k1', key }]);
    return async (input) => {
      assert.equal(await cookies.open(input, NOW), null);
      assert.equal(await cookies.open(`acgs_affinity=k1.${input}`, NOW), null);
      const pins = decodePins(utf8(input), NOW);
      if (!pins) return;
      assert(pins.expires > NOW && Number.isFinite(pins.expires));
      for (const instance of Object.values(pins.instances)) assert.equal(typeof instance, 'string');
      const text = encodePins(pins);
      if (text !== null) assert.deepEqual(decodePins(text, NOW), pins);
    };
  },
};

const envelope: FuzzTarget = {
  name: 'envelope',
  holds: 'envelope: what is read can be written again, and no value can add a field or a line',
  start: () => (input) => {
    const parsed = parseEnvelope(input);
    // A longer text for the answer is left out.
    if (parsed?.fields && input.length < 1_024) {
      const again = parseEnvelope(encodeEnvelope(parsed.token, parsed.fields));
      assert.deepEqual(again?.fields, parsed.fields);
    }
    const written = encodeEnvelope('a.b.c', {
      client: '192.0.2.1',
      proto: 'https',
      host: 'x.example',
      requestId: 'r',
      service: input,
      target: input,
      traceparent: input,
      rateLimit: input,
      rateLimitPolicy: input,
    });
    assert.equal(written.split(';').length, 10);
    assert.match(written, /^[\x20-\x7e]*$/);
    assert.notEqual(parseEnvelope(written), null);
  },
};

const traceContext: FuzzTarget = {
  name: 'trace-context',
  holds: 'trace context: null, or ids that are valid in the field of the next request',
  start: () => (input) => {
    const parsed = parseTraceparent(input);
    if (parsed) {
      const field = formatTraceparent({ ...parsed, spanId: parsed.parentId }, parsed.parentId);
      assert.match(field, /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);
      assert.deepEqual(parseTraceparent(field), parsed);
    }
    if (isRequestId(input)) assert.match(input, /^[\x21-\x7e]{1,128}$/);
  },
};

const requestUrl: FuzzTarget = {
  name: 'request-url',
  holds: 'request URL: refused, or the URL that fetch sends',
  start: () => (input) => {
    const [host = '', ...rest] = input.split('\n');
    const url = parseRequestUrl(`http://${host}/${rest.join('\n')}`, host);
    if (!url) return;
    assert.match(url.target, /^\/[\x21-\x7e]*$/);
    assert.doesNotMatch(url.target.split('?')[0] ?? '', /\/(?:\.|%2e){1,2}(?:\/|$)/i);
    assert.doesNotMatch(hostName(url.host), /[,/@\s]/);
    // A port above 65535 passes: only the name of the host is used.
    if (!URL.canParse(`http://${url.host}${url.target}`)) return;
    assert.equal(new URL(`http://${url.host}${url.target}`).pathname, url.target.split('?')[0]);
  },
};

const clientAddress: FuzzTarget = {
  name: 'client-address',
  holds: 'client address: null, or an address that is its own standard form',
  start: () => (input) => {
    const address = parseClientAddress(input);
    if (address === null) return;
    assert.match(address, /^[0-9a-f.:]{2,45}$/);
    assert.equal(parseClientAddress(address), address);
  },
};

const rateLimitKey: FuzzTarget = {
  name: 'rate-limit-key',
  holds: 'rate-limit fields: any key gives a bounded key and one item without syntax of its own',
  start() {
    const policy = compileRateLimit({
      name: 'p',
      key: ['header:x', 'session', 'ip'],
      limit: 5,
      window: 10_000,
      scope: 'edge',
      overrides: { k: 9 },
    });
    return (input) => {
      const key = policy.keyOf({
        path: '/',
        clientKey: '192.0.2.1',
        sessionKey: () => input,
        header: () => input,
      });
      assert(key.length < 64 * 3 + 40);
      assert.equal(policy.limitOf(input), input === 'k' ? 9 : 5);
      const [resetMs, remaining] = [input.length * 7, input.length];
      const item = rateLimitHeaderItem(policy, { allowed: true, remaining, resetMs });
      assert.match(item, /^"p";r=\d+;t=\d+$/);
    };
  },
};

const encodeOnce = (text: string): string =>
  text.replaceAll(/./g, (char) => `%${char.charCodeAt(0).toString(16)}`);
const ADMIN_SPELLINGS = ['admin', 'ADMIN', encodeOnce('admin'), encodeOnce('admin').replaceAll('%', '%25')];

const path: FuzzTarget = {
  name: 'path',
  holds: 'paths: a rule for a path covers every spelling of it, however it is encoded',
  start() {
    const check = compileAccess([{ path: '/admin', deny: ['0.0.0.0/0'] }]);
    return (input) => {
      const text = `/${input}`;
      const readings = pathReadings(text);
      for (const reading of readings) assert.match(reading, /^\//);
      assert(coversReading(['/'], readings));
      for (const spelling of ADMIN_SPELLINGS)
        assert.equal(check(`/${spelling}/${input}`, '192.0.2.1').allowed, false);
      // A rule's own form is stable.
      const [prefix = ''] = rulePrefixes(text);
      if (!/[%;\\\x80-\xff]/.test(prefix)) assert.deepEqual(rulePrefixes(prefix), [prefix]);
    };
  },
};

export const EDGE_TARGETS: readonly FuzzTarget[] = [
  snapshot,
  siteDirectory,
  cookie,
  envelope,
  traceContext,
  requestUrl,
  clientAddress,
  rateLimitKey,
  cacheControl,
  path,
];
