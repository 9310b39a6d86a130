import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRig } from './rig.ts';
import { type BenchTable, tableOf } from './table.ts';

const UPLOADS = 200;
const BYTES = 2_000_000;
const SECONDS = 12;
const MEBIBYTE = 1024 * 1024;

interface HeldUpload {
  socket: Socket;
  isAnswered: boolean;
}

/**
 * Memory of workerd while 200 clients without credentials upload snapshots of 2 MB and hold back the last byte. The key
 * ids are not secret: the edge knows `k1`.
 */
export async function benchSlowUploads(): Promise<BenchTable[]> {
  const tables: BenchTable[] = [];
  for (const kid of ['unknown', 'k1']) {
    const rig = await startRig('http://127.0.0.1:9');
    try {
      const before = rig.workerdRssBytes();
      const { peak, open } = await attack(rig.edgeUrl, kid, rig.workerdRssBytes);
      if (open > 0) throw new Error(`${open} uploads were still open after ${SECONDS} s`);
      const known = kid === 'unknown' ? 'an unknown key id' : 'a known key id';
      tables.push(
        tableOf(`Memory of workerd, ${known}`, 'MiB', [
          { what: 'before', rounds: [before / MEBIBYTE] },
          { what: `at most, ${UPLOADS} uploads`, rounds: [peak / MEBIBYTE] },
        ]),
      );
    } finally {
      await rig.stop();
    }
  }
  return tables;
}

async function attack(
  url: string,
  kid: string,
  rssBytes: () => number,
): Promise<{ peak: number; open: number }> {
  const uploads = Array.from({ length: UPLOADS }, () => startUpload(url, kid));
  let peak = 0;
  for (let tick = 0; tick < SECONDS * 20; tick++) {
    peak = Math.max(peak, rssBytes());
    await sleep(50);
  }
  const open = uploads.filter(({ isAnswered }) => !isAnswered).length;
  for (const { socket } of uploads) socket.destroy();
  return { peak, open };
}

function startUpload(url: string, kid: string): HeldUpload {
  const { hostname, port } = new URL(url);
  const head = `PUT /__acgs/snapshot/main HTTP/1.1\r\nHost: x\r\nContent-Length: ${BYTES}\r\n\r\n`;
  const line = `${kid}.AAAA\n`;
  const socket = connect(Number(port), hostname, () => {
    socket.write(head + line);
    socket.write(Buffer.alloc(BYTES - line.length - 1, 'x'));
  });
  const upload: HeldUpload = { socket, isAnswered: false };
  const finish = (): void => {
    upload.isAnswered = true;
  };
  socket.on('data', finish);
  socket.on('close', finish);
  socket.on('error', () => {});
  return upload;
}
