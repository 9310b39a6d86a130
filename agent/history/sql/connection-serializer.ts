import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A proxy in front of the embedded database, which has a single session: interleaved statements of two connections would
 * corrupt each other. A connection has exclusive access from its first byte until the database reports "ready, outside a
 * transaction"; the others wait. Bytes pass unchanged; only the framing of the wire protocol is read:
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export function createConnectionSerializer(path: string, databasePath: string): Promise<Server> {
  const lock = createLock();
  const server = createServer((client) => forward(client, databasePath, lock));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve(server));
  });
}

interface Lock {
  acquire(): Promise<void>;
  release(): void;
}

/** A first-in, first-out lock. */
function createLock(): Lock {
  const queue: (() => void)[] = [];
  let held = false;
  return {
    acquire() {
      if (held) return new Promise<void>((resolve) => queue.push(resolve));
      held = true;
      return Promise.resolve();
    },
    release() {
      const next = queue.shift();
      if (next) next();
      else held = false;
    },
  };
}

const SSL_REQUEST = 80877103;

function forward(client: Socket, databasePath: string, lock: Lock): void {
  const database = connect(databasePath);
  const reader = createReadyForQueryReader();
  let access: 'none' | 'requested' | 'held' = 'none';
  let buffered: Buffer[] = [];
  let started = false;
  let closed = false;

  const releaseAccess = (): void => {
    if (access === 'held') lock.release();
    access = 'none';
  };

  client.on('data', (bytes) => {
    // The first message may ask for TLS, which a Unix socket does not have.
    if (!started && bytes.length === 8 && bytes.readInt32BE(4) === SSL_REQUEST) {
      client.write('N');
      return;
    }
    started = true;
    if (access === 'held') {
      database.write(bytes);
      return;
    }
    buffered.push(bytes);
    if (access === 'requested') return;
    access = 'requested';
    void lock.acquire().then(() => {
      access = 'held';
      if (closed && buffered.length === 0) return releaseAccess();
      for (const part of buffered) database.write(part);
      buffered = [];
    });
  });

  database.on('data', (bytes) => {
    client.write(bytes);
    if (reader.read(bytes) === 'I') releaseAccess();
  });

  // A client that disappears in a transaction or in the middle of a message must not leave it to the next client.
  const onClientClosed = (): void => {
    if (closed) return;
    closed = true;
    buffered = [];
    database.destroy();
    if (access === 'held') void resetSession(databasePath).then(releaseAccess);
  };
  client.on('close', onClientClosed);
  client.on('error', onClientClosed);
  const onDatabaseClosed = (): void => {
    if (!closed) releaseAccess();
    client.destroy();
  };
  database.on('close', onDatabaseClosed);
  database.on('error', onDatabaseClosed);
}

const SYNC = Buffer.from('S\0\0\0\x04', 'latin1');
const ROLLBACK = Buffer.from('Q\0\0\0\rROLLBACK\0', 'latin1');
const STARTUP = Buffer.from('\0\0\0\x17\0\x03\0\0user\0postgres\0\0', 'latin1');

/** Ends an extended query that waits for its Sync, and an open transaction. */
function resetSession(databasePath: string): Promise<void> {
  return new Promise((resolve) => {
    const reader = createReadyForQueryReader();
    const messages = [SYNC, ROLLBACK];
    const database = connect(databasePath, () => database.write(STARTUP));
    database.on('data', (bytes) => {
      if (reader.read(bytes) === null) return;
      const next = messages.shift();
      if (next) database.write(next);
      else database.destroy();
    });
    database.on('error', () => {});
    database.on('close', () => resolve());
  });
}

/** `I`: idle, `T`: in a transaction, `E`: in a failed transaction. */
type TransactionStatus = 'I' | 'T' | 'E';

const READY_FOR_QUERY = 'Z'.charCodeAt(0);
/** Type and length. ReadyForQuery has one byte more, its status. */
const HEADER_BYTES = 5;

/** Follows the server's messages across chunks; returns the status of the last ReadyForQuery in a chunk. */
export function createReadyForQueryReader(): { read(chunk: Buffer): TransactionStatus | null } {
  let header = Buffer.alloc(0);
  /** Remaining bytes of the body of the current message. */
  let skip = 0;

  /** Consumes the start of `bytes` as far as the current header; returns the rest. */
  function readHeader(bytes: Buffer): { rest: Buffer; status: TransactionStatus | null } {
    const type = header[0] ?? bytes[0];
    const needed = type === READY_FOR_QUERY ? HEADER_BYTES + 1 : HEADER_BYTES;
    const part = bytes.subarray(0, needed - header.length);
    header = Buffer.concat([header, part]);
    const rest = bytes.subarray(part.length);
    if (header.length < needed) return { rest, status: null };
    const complete = header;
    header = Buffer.alloc(0);
    if (type === READY_FOR_QUERY) {
      return { rest, status: String.fromCharCode(complete[HEADER_BYTES] ?? 0) as TransactionStatus };
    }
    skip = complete.readInt32BE(1) - 4;
    return { rest, status: null };
  }

  return {
    read(chunk) {
      let status: TransactionStatus | null = null;
      let bytes = chunk;
      while (bytes.length > 0) {
        if (skip > 0) {
          const skipped = Math.min(skip, bytes.length);
          skip -= skipped;
          bytes = bytes.subarray(skipped);
        } else {
          const read = readHeader(bytes);
          bytes = read.rest;
          status = read.status ?? status;
        }
      }
      return status;
    },
  };
}
