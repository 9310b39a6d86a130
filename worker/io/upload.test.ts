import { expect, test } from 'vitest';
import { SlowUploads } from './slow-uploads.ts';
import { PREFIX_BYTES, Upload } from './upload.ts';

const TIMEOUT_MS = 2_000;

/** A body of which the test sends each chunk at its own time. */
function startUpload() {
  const clock = { now: 0 };
  const waiting: ((value: Uint8Array | undefined) => void)[] = [];
  const reader = {
    readAtLeast: () =>
      new Promise((resolve) => waiting.push((value) => resolve({ value, done: value === undefined }))),
    cancel: async () => {},
  };
  const body = { getReader: () => reader } as unknown as ReadableStream;
  const upload = new Upload(body, {
    client: 'c',
    length: null,
    slowUploads: new SlowUploads(4),
    now: () => clock.now,
  });
  const send = async (at: number, bytes: number): Promise<void> => {
    clock.now = at;
    waiting.shift()?.(bytes === 0 ? undefined : new Uint8Array(bytes));
    await new Promise(setImmediate);
  };
  return { upload, send };
}

/** The first 128 KiB arrive at once, then `bytes` each second for ten seconds. */
async function upload10s(bytes: number): Promise<Upload> {
  const { upload, send } = startUpload();
  const reading = upload.readPrefix();
  for (let i = 0; i < 2; i++) await send(0, PREFIX_BYTES);
  await reading;
  const out = upload.open(() => {}).getReader();
  for (let i = 0; i < 2; i++) await out.read();
  for (let second = 1; second <= 10; second++) {
    const next = out.read();
    await new Promise(setImmediate);
    await send(second * 1_000, bytes);
    await next;
  }
  return upload;
}

test('the timeout of an attempt moves on while the bytes of a long chunked body flow', async () => {
  expect((await upload10s(PREFIX_BYTES)).timesOutAt(0, TIMEOUT_MS)).toBe(10_000 + TIMEOUT_MS);
});

test('a client below 16 KB per second does not move the timeout', async () => {
  expect((await upload10s(1)).timesOutAt(0, TIMEOUT_MS)).toBe(TIMEOUT_MS + (2 * PREFIX_BYTES + 10) / 16);
});
