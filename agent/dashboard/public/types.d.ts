export type { LiveInstance, LiveService, LiveStatus } from '../live.ts';
