import { randomBytes } from 'node:crypto';
import { closeSync, linkSync, openSync, renameSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { basename, dirname, resolve } from 'node:path';

/**
 * Locks a folder for this process with a Unix socket beside it, `<folder>.lock`, which the kernel closes however the
 * process ends. Throws when another process holds the lock. The returned function releases it.
 */
export async function lockFolder(folder: string): Promise<() => void> {
  const path = resolve(folder);
  const parent = openSync(dirname(path), 'r');
  // Through the open folder, because the kernel refuses socket paths longer than 107 bytes.
  const socket = `/proc/self/fd/${parent}/${basename(path)}.lock`;
  try {
    const server = await listenOn(socket).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      if ((await isInUse(socket)) || !(await removeStale(socket))) return failInUse(path);
      return listenOn(socket).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EADDRINUSE') throw error;
        return failInUse(path);
      });
    });
    return () => {
      server.close();
      closeSync(parent);
    };
  } catch (error) {
    closeSync(parent);
    throw error;
  }
}

const failInUse = (path: string): never => {
  throw new Error(`${path} is in use by another process`);
};

/**
 * Removes the socket that a killed process left. A process that starts at the same time may have replaced it with its own
 * since we checked, so the removed socket is checked again and put back if it is in use.
 */
async function removeStale(socket: string): Promise<boolean> {
  const aside = `${socket}-${randomBytes(4).toString('hex')}`;
  try {
    renameSync(socket, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
  const inUse = await isInUse(aside);
  if (inUse) linkSync(aside, socket);
  rmSync(aside, { force: true });
  return !inUse;
}

function listenOn(socket: string): Promise<Server> {
  return new Promise((done, failed) => {
    const server = createServer((connection) => connection.destroy());
    server.once('error', failed);
    server.listen(socket, () => done(server.unref()));
  });
}

function isInUse(socket: string): Promise<boolean> {
  return new Promise((done) => {
    const connection = connect(socket, () => {
      connection.destroy();
      done(true);
    });
    connection.once('error', () => done(false));
  });
}
