import { toConfigEvents, toRefusedEvent } from '../configuration/events.ts';
import { createReconfigurer, type Reconfigurer } from '../configuration/reconfigure.ts';
import type { Change } from '../core/state.ts';
import { configAuditRecord } from '../history/records.ts';
import type { Core } from './core.ts';
import { showChanges } from './history-api.ts';
import type { Setup } from './setup.ts';
import type { Stores } from './stores.ts';
import type { Subjects } from './subjects.ts';

/** Stage 4: what applies a new configuration to every part. */
export function createAgentReconfigurer(
  setup: Setup,
  { history }: Stores,
  core: Core,
  subjects: Subjects,
): Reconfigurer {
  const { loop, probeAll, stateFile } = core;
  const { discovery, haproxy, registry, snapshot } = subjects;
  const record = (events: Change[]): void => {
    showChanges(core, events);
    history.sink.writer.write(events.map(configAuditRecord));
  };
  return createReconfigurer({
    current: setup.config,
    path: setup.configPath,
    previous: setup.previousConfigs,
    onChanges: (changes, by) => record(toConfigEvents(changes, by, Date.now())),
    onRefused: (problem) => record([toRefusedEvent(problem, Date.now())]),
    log: setup.log,
    apply: loop.apply,
    async check(next) {
      setup.checkEnvironment(next);
      await haproxy.check(next);
      registry.checkFile(next);
    },
    activate(next) {
      setup.setConfig(next);
      haproxy.reconfigure(next);
      loop.setPolicies(next.services);
      setup.log.level = next.logging.level;
    },
    onActivated() {
      registry.enforceAddressPolicy();
      discovery.sync();
      probeAll();
      snapshot?.publishNow();
      stateFile.scheduleWrite();
    },
  });
}
