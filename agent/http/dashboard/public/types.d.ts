import type { ApiHistoryEvent } from '../../schemas/events.ts';
import type { ApiHistory } from '../../schemas/history.ts';

export type { ApiAlert, Receivers } from '../../schemas/alerts.ts';
export type { RouteExplanation } from '../../schemas/control.ts';
export type { ApiChange } from '../../schemas/events.ts';
export type { ApiInstance } from '../../schemas/instances.ts';
export type { ApiSession } from '../../schemas/sessions.ts';
export type { StatusDocument, StatusInstance, StatusService } from '../../schemas/status.ts';

/** What the page uses of an answer of GET /v1/history. */
export interface HistoryAnswer extends Pick<ApiHistory, 'of' | 'from' | 'to' | 'stepSeconds' | 'times'> {
  series: Partial<ApiHistory['series']>;
  peers: Omit<NonNullable<ApiHistory['peers']>, 'totals'> | null;
}

/** An event of GET /v1/events, or a change of the status document, which has no id. */
export type LoggedEvent = Omit<ApiHistoryEvent, 'id'> & { id?: string | undefined };
