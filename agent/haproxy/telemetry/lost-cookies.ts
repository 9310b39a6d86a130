/**
 * Finds services whose clients do not return the affinity cookie, so that each request may reach another instance. Reports
 * them only if the instances reject such requests.
 */
export interface LostCookies {
  observe(answer: CookieAnswer, now: number): void;
  /** The services with such clients. */
  list(): LostCookieService[];
}

interface CookieAnswer {
  service: string;
  /** The client's address. */
  client: string;
  /** The request had no cookie of a session and no session id. */
  isWithoutSession: boolean;
  status: number;
}

export interface LostCookieService {
  service: string;
  /** The share of requests without a cookie from an address that had already received one, 0 to 1. */
  lost: number;
  /** The share of these requests that got a 4xx, 0 to 1. */
  rejected: number;
}

interface CookieCounts {
  answers: number;
  lost: number;
  rejected: number;
}

const MAX_CLIENTS = 4_096;
/** A browser sends its first requests at the same time. */
const FIRST_REQUESTS_MS = 2_000;
const MIN_LOST = 20;
const MIN_LOST_SHARE = 0.5;
const MIN_REJECTED_SHARE = 0.2;
/** At this count all numbers are halved, so that a service can change. */
const MAX_ANSWERS = 1_000;
const TOO_MANY_REQUESTS = 429;

const isRejection = (status: number): boolean =>
  status >= 400 && status < 500 && status !== TOO_MANY_REQUESTS;

export function createLostCookies(): LostCookies {
  /** When an address received its first cookie, by service and address. */
  const clients = new Map<string, number>();
  const services = new Map<string, CookieCounts>();

  /** Whether the client received a cookie before. If not, it receives one now. */
  function hasLostCookie(key: string, now: number): boolean {
    const givenAt = clients.get(key);
    if (givenAt !== undefined) return now - givenAt >= FIRST_REQUESTS_MS;
    clients.set(key, now);
    if (clients.size > MAX_CLIENTS) clients.delete(clients.keys().next().value ?? '');
    return false;
  }

  return {
    observe({ service, client, isWithoutSession, status }, now) {
      const counts = services.get(service) ?? { answers: 0, lost: 0, rejected: 0 };
      services.set(service, counts);
      counts.answers += 1;
      if (isWithoutSession && hasLostCookie(`${service} ${client}`, now)) {
        counts.lost += 1;
        if (isRejection(status)) counts.rejected += 1;
      }
      if (counts.answers < MAX_ANSWERS) return;
      counts.answers /= 2;
      counts.lost /= 2;
      counts.rejected /= 2;
    },
    list: () =>
      [...services]
        .map(([service, { answers, lost, rejected }]) => ({
          service,
          count: lost,
          lost: lost / Math.max(1, answers),
          rejected: rejected / Math.max(1, lost),
        }))
        .filter(
          ({ count, lost, rejected }) =>
            count >= MIN_LOST && lost >= MIN_LOST_SHARE && rejected >= MIN_REJECTED_SHARE,
        )
        .map(({ count: _, ...found }) => found),
  };
}
