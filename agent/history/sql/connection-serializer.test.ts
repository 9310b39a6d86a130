import { expect, test } from 'vitest';
import { createReadyForQueryReader } from './connection-serializer.ts';

const message = (type: string, body: Buffer): Buffer => {
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};

// A row whose data looks like a ReadyForQuery message.
const stream = Buffer.concat([
  message('D', Buffer.from('Z\0\0\0\x05I', 'latin1')),
  message('C', Buffer.from('SELECT 1\0')),
  message('Z', Buffer.from('T')),
]);

test('finds ReadyForQuery however the stream is divided into chunks', () => {
  for (let size = 1; size <= stream.length; size++) {
    const reader = createReadyForQueryReader();
    const seen: string[] = [];
    for (let at = 0; at < stream.length; at += size) {
      const status = reader.read(stream.subarray(at, at + size));
      if (status) seen.push(status);
    }
    expect(seen).toEqual(['T']);
  }
});
