export type { News } from '../frame.ts';
export type { LiveInstance, LiveService, LiveStatus } from '../live.ts';
