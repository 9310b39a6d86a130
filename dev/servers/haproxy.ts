import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fullPath } from '../bootstrap/run.mjs';
import { ask } from './ask.ts';
import { type Running, type StartOptions, startChild, untilReady } from './child.ts';
import { privateFolder, removeFolder } from './folder.ts';

export interface HaproxyServer extends Running {
  masterSocket: string;
}

export interface HaproxyOptions extends StartOptions {
  /** The configuration; it is checked before anything is started. */
  configFile: string;
  /** At most 97 characters; one in a private folder when absent. */
  masterSocket?: string;
}

/** HAProxy as a master with workers, so that it can be reloaded through the master socket. */
export async function startHaproxy(options: HaproxyOptions): Promise<HaproxyServer> {
  checkHaproxyConfig(options.configFile);
  const folder = privateFolder('acgs-ha', options.parent);
  const masterSocket = options.masterSocket ?? join(folder, 'master.sock');
  try {
    const child = await startChild({
      name: 'haproxy',
      command: 'haproxy',
      args: ['-W', '-S', `${masterSocket},mode,600`, '-f', options.configFile],
      onSpawn: options.onSpawn,
      logFile: options.logFile ?? join(folder, 'haproxy.log'),
    });
    await untilReady(child, async () => /^\d+\s+worker/m.test(await askHaproxy(masterSocket, 'show proc')));
    return {
      masterSocket,
      child,
      async stop() {
        await child.stop();
        removeFolder(folder);
      },
    };
  } catch (error) {
    removeFolder(folder);
    throw error;
  }
}

/** Throws with HAProxy's own words when it would refuse the file. */
export function checkHaproxyConfig(configFile: string): void {
  try {
    execFileSync('haproxy', ['-c', '-f', configFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
      env: { ...process.env, PATH: fullPath() },
    });
  } catch (cause) {
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr) : String(cause);
    throw new Error(`haproxy refuses ${configFile}:\n${said.trim()}`, { cause });
  }
}

/** One command to a HAProxy socket; an answer ends with an empty line. */
export function askHaproxy(socket: string, command: string): Promise<string> {
  return ask({ path: socket }, `${command}\n`, { enough: (text) => text.endsWith('\n\n') || text === '\n' });
}
