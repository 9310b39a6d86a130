import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fullPath } from '../bootstrap/run.mjs';
import { type RunningServer, type StartOptions, startChild, waitUntilReady } from './child.ts';
import { startInPrivateFolder } from './folder.ts';
import { tcpRequest } from './tcp-request.ts';

export interface LocalHaproxy extends RunningServer {
  masterSocket: string;
}

export interface LocalHaproxyOptions extends StartOptions {
  /** The configuration; validated before the start. */
  configFile: string;
  /** At most 97 characters. Default: a socket in a private folder. */
  masterSocket?: string;
}

/** Starts HAProxy in master-worker mode, so that it can be reloaded through the master socket. */
export async function startHaproxy(options: LocalHaproxyOptions): Promise<LocalHaproxy> {
  validateHaproxyConfig(options.configFile);
  return startInPrivateFolder('acgs-ha', options.parent, async (folder) => {
    const masterSocket = options.masterSocket ?? join(folder, 'master.sock');
    const child = await startChild({
      name: 'haproxy',
      command: 'haproxy',
      args: ['-W', '-S', `${masterSocket},mode,600`, '-f', options.configFile],
      onSpawn: options.onSpawn,
      logFile: options.logFile ?? join(folder, 'haproxy.log'),
    });
    await waitUntilReady(child, async () =>
      /^\d+\s+worker/m.test(await haproxyCommand(masterSocket, 'show proc')),
    );
    return {
      masterSocket,
      child,
      stop: () => child.stop(),
    };
  });
}

/** Throws with HAProxy's message when the configuration is invalid. */
export function validateHaproxyConfig(configFile: string): void {
  try {
    execFileSync('haproxy', ['-c', '-f', configFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
      env: { ...process.env, PATH: fullPath() },
    });
  } catch (cause) {
    const message = cause instanceof Error && 'stderr' in cause ? String(cause.stderr) : String(cause);
    throw new Error(`haproxy rejects ${configFile}:\n${message.trim()}`, { cause });
  }
}

/** Sends one command to a HAProxy socket. A response ends with an empty line. */
export function haproxyCommand(socket: string, command: string): Promise<string> {
  return tcpRequest({ path: socket }, `${command}\n`, {
    isComplete: (text) => text.endsWith('\n\n') || text === '\n',
  });
}
