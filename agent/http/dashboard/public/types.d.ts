export type { StateDelta } from '../state-delta.ts';
export type { StatusDocument, StatusInstance, StatusService } from '../status.ts';
