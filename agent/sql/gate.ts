import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A gate before the embedded database. The database has one session: statements of two connections that interleave
 * would spoil each other's. So one connection at a time is let through, from its first byte until the database says
 * "ready, outside a transaction"; the others wait. Bytes pass unchanged, and only the framing of the wire protocol is
 * looked at: https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export function createGate(path: string, databasePath: string): Promise<Server> {
  const turns = createTurns();
  const server = createServer((client) => passThrough(client, connect(databasePath), turns));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve(server));
  });
}

interface Turns {
  take(): Promise<void>;
  give(): void;
}

function createTurns(): Turns {
  const queue: (() => void)[] = [];
  let taken = false;
  return {
    take() {
      if (taken) return new Promise<void>((resolve) => queue.push(resolve));
      taken = true;
      return Promise.resolve();
    },
    give() {
      const next = queue.shift();
      if (next) next();
      else taken = false;
    },
  };
}

const SSL_REQUEST = 80877103;
const ROLLBACK = Buffer.from('Q\0\0\0\rROLLBACK\0', 'latin1');

function passThrough(client: Socket, database: Socket, turns: Turns): void {
  const reader = createReadyReader();
  let turn: 'none' | 'asked' | 'mine' = 'none';
  let waiting: Buffer[] = [];
  let started = false;
  let gone = false;

  const leave = (): void => {
    if (turn === 'mine') turns.give();
    turn = 'none';
  };

  client.on('data', (bytes) => {
    // Asked before anything else: there is no TLS on a Unix socket.
    if (!started && bytes.length === 8 && bytes.readInt32BE(4) === SSL_REQUEST) {
      client.write('N');
      return;
    }
    started = true;
    if (turn === 'mine') {
      database.write(bytes);
      return;
    }
    waiting.push(bytes);
    if (turn === 'asked') return;
    turn = 'asked';
    void turns.take().then(() => {
      turn = 'mine';
      if (gone && waiting.length === 0) return leave();
      for (const part of waiting) database.write(part);
      waiting = [];
    });
  });

  database.on('data', (bytes) => {
    client.write(bytes);
    const status = reader.read(bytes);
    if (gone && status === 'I') {
      leave();
      database.destroy();
    } else if (status === 'I') leave();
  });

  // A client that vanishes inside a transaction must not leave it to the next one.
  const onGone = (): void => {
    if (gone) return;
    gone = true;
    waiting = [];
    if (turn === 'mine' && !database.destroyed) database.write(ROLLBACK);
    else database.destroy();
  };
  client.on('close', onGone);
  client.on('error', onGone);
  const onDatabaseGone = (): void => {
    leave();
    client.destroy();
  };
  database.on('close', onDatabaseGone);
  database.on('error', onDatabaseGone);
}

const READY = 'Z'.charCodeAt(0);

/** Follows the server's messages across chunks and tells the transaction status of the last ReadyForQuery in one. */
export function createReadyReader(): { read(chunk: Buffer): 'I' | 'T' | 'E' | null } {
  let head = Buffer.alloc(0);
  /** Bytes of the current message that are still to come. */
  let skip = 0;
  return {
    read(chunk) {
      let status: 'I' | 'T' | 'E' | null = null;
      let bytes = chunk;
      while (bytes.length > 0) {
        if (skip > 0) {
          const passed = Math.min(skip, bytes.length);
          skip -= passed;
          bytes = bytes.subarray(passed);
          continue;
        }
        // Type, length, and for ReadyForQuery its one byte of status.
        const need = head[0] === READY || (head.length === 0 && bytes[0] === READY) ? 6 : 5;
        const part = bytes.subarray(0, need - head.length);
        head = Buffer.concat([head, part]);
        bytes = bytes.subarray(part.length);
        if (head.length < need) return status;
        if (need === 6) status = String.fromCharCode(head[5] ?? 0) as 'I' | 'T' | 'E';
        else skip = head.readInt32BE(1) - 4;
        head = Buffer.alloc(0);
      }
      return status;
    },
  };
}
