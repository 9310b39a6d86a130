import {
  type Capacity,
  type CapacityForecast,
  MAX_UTILIZATION,
  type ServiceCapacity,
} from '../reports/capacity.ts';
import type { ForecastMethod } from '../reports/forecast/forecast.ts';
import { amount, count, day, NONE, share } from '../reports/format.ts';
import { plural } from './format.ts';
import { formatTable, type Terminal, wrapText } from './terminal.ts';

type ReviewedService = Exclude<ServiceCapacity, { refused: string }>;

const isReviewed = (service: ServiceCapacity): service is ReviewedService => service.refused === undefined;

const formatMonth = (at: number): string => day(at).split(' ').slice(1).join(' ');

/** The capacity review as text: the past month, the forecast, advice, and the accuracy of the forecast. */
export function formatCapacity(capacity: Capacity, terminal: Terminal): string {
  const bold = (text: string) => terminal.paint('bold', text);
  const reviewed = capacity.services.filter(isReviewed);
  const title = `${bold(`Capacity of site ${capacity.site}`)}: ${formatMonth(capacity.from)}, forecast to ${day(capacity.forecastTo - 1)}`;
  const parts = [wrapText(title, 0, terminal)];
  if (reviewed.length > 0) {
    const adviceLines = reviewed.map(
      (service) => `  ${wrapText(`${service.service}: ${advice(service)}`, 4, terminal)}`,
    );
    parts.push(
      `${bold(`Maxima of ${formatMonth(capacity.from)}`)}\n${reviewTable(reviewed, terminal)}`,
      `${bold('Forecast')}: maximum of the month, with the 90 % interval\n${forecastTable(reviewed, terminal)}`,
      `${bold('Advice')}\n${adviceLines.join('\n')}`,
      `${bold('Forecast accuracy')} (MASE: error on held-out weeks; 1 = as good as repeating the previous week)\n${accuracyTable(reviewed, terminal)}`,
    );
  }
  for (const [reason, services] of refusals(capacity.services)) {
    parts.push(
      terminal.paint('yellow', wrapText(`No forecast for ${services.join(', ')}: ${reason}`, 0, terminal)),
    );
  }
  return parts.join('\n\n');
}

function reviewTable(reviewed: readonly ReviewedService[], terminal: Terminal): string {
  return formatTable(
    reviewed,
    [
      { title: 'SERVICE', value: ({ service }) => service },
      { title: 'DAYS', dropPriority: 3, align: 'right', value: ({ review }) => count(review.days) },
      {
        title: 'RATE/S',
        dropPriority: 1,
        align: 'right',
        value: ({ review }) => amount(review.peakRate),
      },
      {
        title: 'MEAN ms',
        dropPriority: 2,
        align: 'right',
        value: ({ review }) => amount(review.meanResponseMs),
      },
      { title: 'CONCURRENT', align: 'right', value: ({ review }) => amount(review.peakConcurrency) },
      {
        title: "BY LITTLE'S LAW",
        dropPriority: 3,
        align: 'right',
        value: ({ review }) => amount(review.littleConcurrency),
      },
      {
        title: 'CAPACITY',
        align: 'right',
        value: ({ instances, maxconn, capacity: all }) => `${instances} × ${maxconn} = ${all}`,
      },
      {
        title: 'USED',
        align: 'right',
        value: ({ review, capacity: all }) =>
          share(Math.max(review.peakConcurrency, review.littleConcurrency) / (all || 1)),
      },
    ],
    terminal,
  );
}

function forecastTable(services: readonly ReviewedService[], terminal: Terminal): string {
  const rows = services.flatMap((reviewed) =>
    reviewed.concurrency.months.map((month, index) => ({
      reviewed,
      month,
      rate: reviewed.rate.months[index],
      first: index === 0,
    })),
  );
  return formatTable(
    rows,
    [
      { title: 'SERVICE', value: ({ reviewed, first }) => (first ? reviewed.service : '') },
      { title: 'MONTH', value: ({ month }) => formatMonth(month.start) },
      {
        title: 'RATE/S',
        dropPriority: 1,
        align: 'right',
        value: ({ rate }) => (rate ? formatInterval(rate) : ''),
      },
      { title: 'CONCURRENT', align: 'right', value: ({ month }) => formatInterval(month) },
      {
        title: 'OF CAPACITY',
        align: 'right',
        value: ({ reviewed, month }) => share(month.peak / (reviewed.capacity || 1)),
      },
    ],
    terminal,
  );
}

function accuracyTable(services: readonly ReviewedService[], terminal: Terminal): string {
  const rows = services.flatMap(({ service, rate, concurrency, history }) => [
    { service, forecastOf: 'rate', forecast: rate, history },
    { service: '', forecastOf: 'concurrency', forecast: concurrency, history },
  ]);
  return formatTable(
    rows,
    [
      { title: 'SERVICE', value: ({ service }) => service },
      { title: 'FORECAST', value: ({ forecastOf }) => forecastOf },
      { title: 'METHOD', value: ({ forecast }) => forecast.method },
      {
        title: 'MASE HOLT-WINTERS',
        dropPriority: 3,
        align: 'right',
        value: ({ forecast }) => mase(forecast, 'holt-winters'),
      },
      {
        title: 'MASE NAIVE',
        dropPriority: 3,
        align: 'right',
        value: ({ forecast }) => mase(forecast, 'seasonal-naive'),
      },
      {
        title: 'ERROR, LAST WEEK',
        align: 'right',
        value: ({ forecast: { backTest, method } }) =>
          method === 'from-rate'
            ? 'as rate'
            : `${formatError(backTest.lastError[method])} (naive ${formatError(backTest.lastError['seasonal-naive'])})`,
      },
      {
        title: 'WEEKS TESTED',
        dropPriority: 2,
        align: 'right',
        value: ({ forecast }) => count(forecast.backTest.folds),
      },
      {
        title: 'HISTORY',
        dropPriority: 1,
        align: 'right',
        value: ({ history }) => `${history.days} d${history.filled ? `, ${history.filled} filled` : ''}`,
      },
    ],
    terminal,
  );
}

/** Groups the services without a forecast by reason. */
function refusals(services: readonly ServiceCapacity[]): Map<string, string[]> {
  const byReason = new Map<string, string[]>();
  for (const { service, refused } of services)
    if (refused !== undefined) byReason.set(refused, [...(byReason.get(refused) ?? []), service]);
  return byReason;
}

const mase = ({ backTest }: CapacityForecast, method: ForecastMethod): string =>
  Number.isFinite(backTest.mase[method]) ? backTest.mase[method].toFixed(2) : NONE;

/** A week without traffic has no error share. */
const formatError = (error: number): string => share(Number.isFinite(error) ? error : null);

const formatInterval = ({ peak, lower, upper }: { peak: number; lower: number; upper: number }): string =>
  `${amount(peak)} (${amount(lower)}–${amount(upper)})`;

function advice({ exhaustion, instancesToAdd, instances, concurrency }: ReviewedService): string {
  const add =
    instancesToAdd === 0
      ? ''
      : `add ${plural(instancesToAdd, 'instance')} to the existing ${instances} to keep the upper bound within ${MAX_UTILIZATION * 100} % of capacity`;
  if (exhaustion.expected !== null && exhaustion.expected === concurrency.days[0]?.start)
    return `demand already exceeds the capacity; ${add}`;
  if (exhaustion.expected !== null)
    return `capacity is expected to be exhausted on ${day(exhaustion.expected)}; ${add}`;
  if (exhaustion.upper !== null)
    return `capacity may be exhausted from ${day(exhaustion.upper)} (upper bound); ${add}`;
  return add ? `within capacity, but close to the limit: ${add}` : 'sufficient until the end of the forecast';
}
