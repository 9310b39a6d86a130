import type { Fleet } from '../fleet.ts';

/** A load balancer under comparison, running in front of its own fleet. */
export interface RunningPeer {
  readonly url: string;
  stop(): Promise<void>;
}

export interface Peer {
  readonly id: string;
  readonly title: string;
  /** Null when it is not installed here. */
  start(fleet: Fleet, folder: string): Promise<RunningPeer | null>;
}
