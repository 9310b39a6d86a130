import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A gate before the embedded database. The database has one session: statements of two connections that interleave
 * would spoil each other's. So one connection at a time is let through, from its first byte until the database says
 * "ready, outside a transaction"; the others wait. Bytes pass unchanged, and only the framing of the wire protocol is
 * looked at: https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export function createConnectionSerializer(path: string, databasePath: string): Promise<Server> {
  const turns = createTurns();
  const server = createServer((client) => passThrough(client, databasePath, turns));
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

function passThrough(client: Socket, databasePath: string, turns: Turns): void {
  const database = connect(databasePath);
  const reader = createReadyForQueryReader();
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
    if (reader.read(bytes) === 'I') leave();
  });

  // A client that vanishes inside a transaction, or half a message, must not leave it to the next one.
  const onGone = (): void => {
    if (gone) return;
    gone = true;
    waiting = [];
    database.destroy();
    if (turn === 'mine') void tidyUp(databasePath).then(leave);
  };
  client.on('close', onGone);
  client.on('error', onGone);
  const onDatabaseGone = (): void => {
    if (!gone) leave();
    client.destroy();
  };
  database.on('close', onDatabaseGone);
  database.on('error', onDatabaseGone);
}

const SYNC = Buffer.from('S\0\0\0\x04', 'latin1');
const ROLLBACK = Buffer.from('Q\0\0\0\rROLLBACK\0', 'latin1');
const STARTUP = Buffer.from('\0\0\0\x17\0\x03\0\0user\0postgres\0\0', 'latin1');

/** Leaves the one session as it was: out of a transaction, and of an exchange that would wait for its Sync for ever. */
function tidyUp(databasePath: string): Promise<void> {
  return new Promise((resolve) => {
    const reader = createReadyForQueryReader();
    const steps = [SYNC, ROLLBACK];
    const database = connect(databasePath, () => database.write(STARTUP));
    database.on('data', (bytes) => {
      if (reader.read(bytes) === null) return;
      const next = steps.shift();
      if (next) database.write(next);
      else database.destroy();
    });
    database.on('error', () => {});
    database.on('close', () => resolve());
  });
}

const READY = 'Z'.charCodeAt(0);

/** Follows the server's messages across chunks and tells the transaction status of the last ReadyForQuery in one. */
export function createReadyForQueryReader(): { read(chunk: Buffer): 'I' | 'T' | 'E' | null } {
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
