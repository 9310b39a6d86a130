import { randomBytes } from 'node:crypto';
import { closeSync, linkSync, openSync, renameSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { basename, dirname, resolve } from 'node:path';

/**
 * Keeps a folder to one process: holds a socket beside it, `<folder>.lock`, which the kernel closes with the process
 * however that ends. Throws when another process holds it. What is returned lets go.
 */
export async function lockFolder(folder: string): Promise<() => void> {
  const path = resolve(folder);
  const parent = openSync(dirname(path), 'r');
  // By the open folder, because the kernel refuses socket paths over 107 bytes.
  const socket = `/proc/self/fd/${parent}/${basename(path)}.lock`;
  try {
    const server = await hold(socket).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      if ((await answers(socket)) || !(await cleared(socket))) return inUse(path);
      return hold(socket).catch((late: NodeJS.ErrnoException) => {
        if (late.code !== 'EADDRINUSE') throw late;
        return inUse(path);
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

const inUse = (path: string): never => {
  throw new Error(`${path} is in use by another process`);
};

/**
 * Takes away what a process that was killed left. Another that starts at the same moment may have done so since we
 * looked, and hold its own there: what was taken is looked at once more, and put back if it lives.
 */
async function cleared(socket: string): Promise<boolean> {
  const aside = `${socket}-${randomBytes(4).toString('hex')}`;
  try {
    renameSync(socket, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
  const lives = await answers(aside);
  if (lives) linkSync(aside, socket);
  rmSync(aside, { force: true });
  return !lives;
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
