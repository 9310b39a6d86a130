/** A setting of a service that does not fit the traffic that the agent sees, and what to set instead. */
export interface Advice {
  service: string;
  message: string;
  /** What to do, as a sentence. */
  action: string;
}
