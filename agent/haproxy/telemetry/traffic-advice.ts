import type { Config } from '../../../shared/config/config.ts';
import { coversPath } from '../../../shared/path.ts';
import type { Advice } from '../../core/advice.ts';
import type { HeldClass } from './held-answers.ts';
import type { LostCookieService } from './lost-cookies.ts';

interface TrafficFindings {
  held: readonly HeldClass[];
  lostCookies: readonly LostCookieService[];
}

/**
 * Settings that do not fit the traffic: per service at most one advice of each kind. Leaves out what the file already
 * sets.
 */
export function trafficAdvice({ services }: Config, { held, lostCookies }: TrafficFindings): Advice[] {
  const open = held.filter(({ service, path }) => {
    const declared = services[service]?.longLived.paths;
    return declared && !declared.some((prefix) => coversPath(prefix, path));
  });
  const byCookie = lostCookies.filter(({ service }) => services[service]?.affinity.by === 'cookie');
  return [
    ...byCookie.map(lostCookieAdvice),
    ...[...Map.groupBy(open, ({ service }) => service)].map(([service, classes]) =>
      heldAdvice(service, [...new Set(classes.map(({ path }) => path))].sort()),
    ),
  ];
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

const lostCookieAdvice = ({ service, lost, rejected }: LostCookieService): Advice => ({
  service,
  message: `${percent(lost)} of the requests come from clients that do not return the affinity cookie, and ${percent(rejected)} of those get a 4xx: each of these requests may reach another instance`,
  action: `If its instances keep sessions, set services.${service}.affinity to { by: ip }.`,
});

/** More paths would make the advice hard to read. */
const MAX_PATHS = 5;

const heldAdvice = (service: string, paths: readonly string[]): Advice => ({
  service,
  message: `answers of ${paths.slice(0, MAX_PATHS).join(', ')} are held or streamed: they count as load, and HAProxy ends them after the service's timeout without data`,
  action: `If that is intended, set services.${service}.longLived.paths to [${paths.slice(0, MAX_PATHS).join(', ')}].`,
});
