import { expect, test } from 'vitest';
import { parseSessions } from './parse.ts';

test('the connections to one server in `show sess`', () => {
  const text = [
    '0x55d0c8a1b2e0: proto=tcpv4 src=127.0.0.1:41234 fe=_gateway be=gs:long srv=gs-1 ts=00 epoch=0x2 age=4s calls=2 rate=0',
    '0x55d0c8a1c3f0: proto=tcpv4 src=127.0.0.1:41236 fe=_gateway be=gs:long srv=gs-10 ts=00 epoch=0x2 age=4s calls=2 rate=0',
    '0x55d0c8a1d400: proto=tcpv4 src=127.0.0.1:41238 fe=_gateway be=gs srv=gs-1 ts=00 epoch=0x2 age=4s calls=2 rate=0',
    '0x55d0c8a1e510: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0x2 age=0s calls=1 rate=0',
  ].join('\n');
  expect(parseSessions(text, 'gs:long', 'gs-1')).toEqual(['0x55d0c8a1b2e0']);
});
