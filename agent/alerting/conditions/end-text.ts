import type { Instance } from '../../core/state.ts';
import type { AlertRecord } from '../alert.ts';
import { servingText } from './serving.ts';

/** Describes the recovery from the present state. */
export function conditionEndText(
  { rule, service, subject }: Pick<AlertRecord, 'rule' | 'service' | 'subject'>,
  instances: Iterable<Instance>,
): string {
  switch (rule) {
    case 'outlier':
      return `${service}: no serving instance does worse than its peers`;
    case 'instanceFull':
      return `${service}: every serving instance has free connections`;
    case 'sinkFailing':
      return `${subject} takes updates again`;
    case 'edgeSilent':
      return 'the edge sends reports again, or the site has no traffic';
    case 'snapshotNotTaken':
      return 'the edge takes snapshots again';
    case 'configRefused':
      return 'the agent accepted a configuration';
    case 'sourceFailing':
      return `${service}: the source of its instances is read again`;
    case 'listRefused':
      return `${service}: the list of its source is accepted again`;
    case 'receiverFailing':
      return `the receiver ${subject} takes alerts again`;
    case 'certificateExpiry':
      return `certificate ${subject} is no longer about to expire`;
    case 'spoolDisk':
      return subject === 'disk'
        ? 'the disk of the state folder has room again'
        : 'the history spool has room again';
    default:
      return service ? servingText(service, instances) : `host ${subject}: no instance is down`;
  }
}
