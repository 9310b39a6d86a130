import type { Config } from '../../../shared/config/config.ts';
import type { Update } from '../../core/sink.ts';
import { finish, inSlices } from '../../lib/slices.ts';
import type { DesiredServers } from './desired.ts';
import { createDesiredTable, type DesiredTable } from './desired-table.ts';

/** Computes the desired servers: after a change at once, with a refresh in slices. */
export function createDesiredUpdates(options: {
  services: () => Config['services'];
  now: () => number;
  onDesired(desired: DesiredServers, changes: Update['changes']): void;
}) {
  const { services, now, onDesired } = options;
  let table: DesiredTable | null = null;
  let refreshing = false;

  function createTable(instances: Update['instances']): DesiredTable {
    const unknown = [...instances].filter(([, { health }]) => health === 'unknown');
    return createDesiredTable({ initial: new Set(unknown.map(([key]) => key)), services, now });
  }

  async function refresh(known: DesiredTable, instances: Update['instances']): Promise<void> {
    if (refreshing) return;
    refreshing = true;
    await inSlices(known.updateAllSteps(instances));
    refreshing = false;
    onDesired(known.all(), []);
  }

  return {
    accept({ instances, changes }: Pick<Update, 'instances' | 'changes'>): void {
      const isFirst = table === null;
      table ??= createTable(instances);
      // A change without a service concerns the whole site.
      if (isFirst || changes.some(({ service }) => service === '')) {
        finish(table.updateAllSteps(instances));
        onDesired(table.all(), changes);
      } else if (changes.length > 0) {
        table.update(instances, new Set(changes.map(({ service }) => service)));
        onDesired(table.all(), changes);
      } else void refresh(table, instances);
    },
  };
}
