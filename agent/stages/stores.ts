import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { createLeader, singleAgent } from '../core/leader.ts';
import { loadSavedRecords } from '../core/state-file.ts';
import { createTrafficWindow } from '../core/traffic-window.ts';
import { openHistoryStore } from '../history/open.ts';
import { parseSavedRecords } from '../judge/resume.ts';
import { openLiveState } from '../live/open.ts';
import { logError, type Setup } from './setup.ts';

export type Stores = Awaited<ReturnType<typeof openStores>>;

/** Stage 1: everything that survives a restart or is shared with other agents. */
export async function openStores({ config, env, stateDir, log }: Setup) {
  const { id: site, agents } = config().site;
  const saved = await loadSavedRecords(stateDir, logError(log, 'saved state not used'));
  const live = await openLiveState({ redisUrl: env.redisUrl, site, log });
  // Two containers may have the same host name and process id.
  const owner = `${hostname()}/${process.pid}/${randomBytes(3).toString('hex')}`;
  if (agents > 1 && live.kind === 'memory') {
    log.warn(
      { agents },
      `REDIS_URL is not set, so each of the ${agents} agents of the site leads; set it on all of them`,
    );
  }
  const leader = agents > 1 ? createLeader({ owner, lease: live, log }) : singleAgent;
  const window = createTrafficWindow(() => config().monitor.window);
  const history = await openHistoryStore({
    config,
    env,
    stateDir,
    window,
    log,
    isLeader: leader.isLeader,
  });
  return { saved: parseSavedRecords(saved), live, leader, window, history, owner };
}
