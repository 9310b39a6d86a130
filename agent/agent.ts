import { createPreviousConfigs } from './configuration/previous.ts';
import type { ReconfigureResult } from './configuration/reconfigure.ts';
import { type Core, createCore } from './stages/core.ts';
import { createAgentReconfigurer } from './stages/reconfigurer.ts';
import { type Service, serve } from './stages/serve.ts';
import { type AgentOptions, logError, type Setup } from './stages/setup.ts';
import { openStores, type Stores } from './stages/stores.ts';
import { attachSinks, type Subjects } from './stages/subjects.ts';

export interface Agent {
  /** Applies the text of the configuration file. On an error it throws, and the old configuration stays in effect. */
  reload(text: string): Promise<ReconfigureResult>;
  close(): Promise<void>;
}

const CLOSE_TIMEOUT_MS = 5_000;
const SPANS_TIMEOUT_MS = 2_000;

/** Starts the agent in stages. Each stage uses only the parts of earlier stages. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  let { config } = options;
  const setup: Setup = {
    ...options,
    startedAt: Date.now(),
    previousConfigs: createPreviousConfigs(options.stateDir),
    config: () => config,
    setConfig(next) {
      config = next;
    },
  };
  await setup.previousConfigs
    .activated(options.configText, true)
    .catch(logError(options.log, 'previous configuration not kept'));
  const stores = await openStores(setup);
  const core = createCore(setup, stores);
  const subjects = await attachSinks(setup, stores, core);
  const reconfigurer = createAgentReconfigurer(setup, stores, core, subjects);
  const service = await serve(setup, { ...stores, ...core, ...subjects, reconfigurer });
  return {
    reload: (text) => core.refusedConfig.watch(reconfigurer.applyFile(text)),
    close: () => close(service, subjects, core, stores),
  };
}

/** Releases every part in the reverse order of the stages. */
async function close(service: Service, subjects: Subjects, core: Core, stores: Stores): Promise<void> {
  for (const stop of service.stopTimers) stop();
  core.prober.close();
  await service.server.close();
  // Deliver the last changes.
  await core.loop.refresh(false);
  await subjects.discovery.close();
  await stores.leader.close();
  await subjects.replication?.close();
  core.requestSharing?.close();
  await service.maintenance.stop();
  await subjects.alerting.close(CLOSE_TIMEOUT_MS);
  await subjects.sessions.close();
  await Promise.all(subjects.sinks.map((sink) => sink.close(CLOSE_TIMEOUT_MS)));
  await core.tracing.close(SPANS_TIMEOUT_MS);
  await core.stateFile.close();
  await subjects.registry.close();
  await stores.history.close();
  await stores.live.close();
}
