import { closeSync, openSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { basename, dirname, resolve } from 'node:path';

/**
 * Keeps a folder to one process: holds a socket beside it, `<folder>.lock`, which the kernel closes with the process
 * however that ends. Throws when another process holds it. What is returned lets go.
 */
export async function soleUser(folder: string): Promise<() => void> {
  const path = resolve(folder);
  const parent = openSync(dirname(path), 'r');
  // By the open folder, because the kernel refuses socket paths over 107 bytes.
  const socket = `/proc/self/fd/${parent}/${basename(path)}.lock`;
  try {
    const server = await hold(socket).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      if (await answers(socket)) throw new Error(`${path} is in use by another process`);
      rmSync(socket, { force: true });
      return hold(socket);
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

function hold(socket: string): Promise<Server> {
  return new Promise((done, failed) => {
    const server = createServer((asking) => asking.destroy());
    server.once('error', failed);
    server.listen(socket, () => done(server.unref()));
  });
}

function answers(socket: string): Promise<boolean> {
  return new Promise((done) => {
    const asking = connect(socket, () => {
      asking.destroy();
      done(true);
    });
    asking.once('error', () => done(false));
  });
}
