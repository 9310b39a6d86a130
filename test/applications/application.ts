/** An application that people run behind acgs-lb, how to start it, and what must work. */

export const WAYS = ['direct', 'edge', 'gateway'] as const;
/** How a request reaches the application: from the edge without a gateway, through both, or at the gateway alone. */
export type ApplicationWay = (typeof WAYS)[number];

/** Per attempt: shorter than the slow checks take. */
export const TIMEOUT_MS = 5_000;

export interface RunningApplication {
  url: string;
  stop(): Promise<void>;
}

export interface CheckContext {
  way: ApplicationWay;
  /** Where a client sends its requests; without a trailing slash. */
  url: string;
  /** A private folder of the check. */
  folder: string;
  /** A short run moves less data and does not wait for silences. */
  short: boolean;
}

export interface ApplicationCheck {
  /** Completes "works: …" on the page. */
  what: string;
  /** Rejects when it does not work. */
  run(context: CheckContext): Promise<void>;
  /** Takes longer than the timeout, so it is not part of a short run. */
  slow?: boolean;
  /** The ways on which it cannot work. The suite checks that it does not. */
  fails?: KnownFailures;
}

export type KnownFailures = Partial<Record<ApplicationWay, { reason: string; error: RegExp }>>;

export interface Application {
  /** A service id. */
  id: string;
  name: string;
  /** What it needs, for the page. */
  needs: string;
  /** Takes long to start, so it is not part of a short run. */
  slow?: boolean;
  /** Default: `TIMEOUT_MS`. */
  timeoutMs?: number;
  /** More keys of the service as YAML flow entries. */
  service?: string;
  /** The program that is missing, or null. */
  missing(): string | null;
  /** Starts one instance. `folder` is shared by the instances of the application. */
  start(name: string, folder: string): Promise<RunningApplication>;
  checks: readonly ApplicationCheck[];
}

export const nothingMissing = (): null => null;

/** Fails with the differing values. */
export function mustEqual(found: unknown, wanted: unknown, what: string): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: ${a}, expected ${b}`);
}
