import type { z } from 'zod';
import type { historyEventSchema, historySchema } from '../../schemas.ts';

export type {
  ApiAlert,
  ApiChange,
  ApiInstance,
  ApiSession,
  RouteExplanation,
  StatusDocument,
  StatusInstance,
  StatusService,
} from '../../schemas.ts';

type History = z.output<typeof historySchema>;

/** What the page uses of an answer of GET /v1/history. */
export interface HistoryAnswer extends Pick<History, 'of' | 'from' | 'to' | 'stepSeconds' | 'times'> {
  series: Partial<History['series']>;
  peers: Omit<NonNullable<History['peers']>, 'totals'> | null;
}

/** An event of GET /v1/events, or a change of the status document, which has no id. */
export type LoggedEvent = Omit<z.output<typeof historyEventSchema>, 'id'> & { id?: string | undefined };
