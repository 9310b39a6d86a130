import {
  type Capacity,
  type CapacityForecast,
  MAX_UTILIZATION,
  type ServiceCapacity,
} from '../reports/capacity.ts';
import type { ForecastMethod } from '../reports/forecast/forecast.ts';
import { amount, count, day, NONE, share } from '../reports/format.ts';
import { formatTable, type Terminal, wrapText } from './terminal.ts';

type Reviewed = Exclude<ServiceCapacity, { refused: string }>;

const isReviewed = (one: ServiceCapacity): one is Reviewed => one.refused === undefined;

const month = (at: number): string => day(at).split(' ').slice(1).join(' ');

/** The capacity review for a terminal: what was, what is to come, what to do, and how far to trust it. */
export function capacityText(capacity: Capacity, terminal: Terminal): string {
  const bold = (text: string) => terminal.paint('bold', text);
  const reviewed = capacity.services.filter(isReviewed);
  const parts = [
    wrapText(
      `${bold(`Capacity of site ${capacity.site}`)}: ${month(capacity.from)} reviewed, forecast to ${day(capacity.forecastTo - 1)}`,
      0,
      terminal,
    ),
  ];
  if (reviewed.length > 0) {
    parts.push(
      `${bold(`${month(capacity.from)}: highest`)}\n${formatTable(
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
          { title: 'AT ONCE', align: 'right', value: ({ review }) => amount(review.peakConcurrency) },
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
      )}`,
      `${bold('Forecast')}: highest of the month, with the interval that holds nine of ten\n${formatTable(
        reviewed.flatMap((one) =>
          one.concurrency.months.map((own, index) => ({
            one,
            own,
            rate: one.rate.months[index],
            first: index === 0,
          })),
        ),
        [
          { title: 'SERVICE', value: ({ one, first }) => (first ? one.service : '') },
          { title: 'MONTH', value: ({ own }) => month(own.start) },
          {
            title: 'RATE/S',
            dropPriority: 1,
            align: 'right',
            value: ({ rate }) => (rate ? interval(rate) : ''),
          },
          { title: 'AT ONCE', align: 'right', value: ({ own }) => interval(own) },
          {
            title: 'OF CAPACITY',
            align: 'right',
            value: ({ one, own }) => share(own.peak / (one.capacity || 1)),
          },
        ],
        terminal,
      )}`,
      `${bold('What to do')}\n${reviewed.map((one) => `  ${wrapText(`${one.service}: ${advice(one)}`, 4, terminal)}`).join('\n')}`,
      `${bold('How far to trust it')} (MASE: error on weeks held out, 1 = repeating the week before inside the history)\n${formatTable(
        reviewed.flatMap((one) => [
          { service: one.service, what: 'rate', outlook: one.rate, history: one.history },
          { service: '', what: 'at once', outlook: one.concurrency, history: one.history },
        ]),
        [
          { title: 'SERVICE', value: ({ service }) => service },
          { title: 'OF', value: ({ what }) => what },
          { title: 'USED', value: ({ outlook }) => outlook.method },
          {
            title: 'MASE HOLT-WINTERS',
            dropPriority: 3,
            align: 'right',
            value: ({ outlook }) => mase(outlook, 'holt-winters'),
          },
          {
            title: 'MASE NAIVE',
            dropPriority: 3,
            align: 'right',
            value: ({ outlook }) => mase(outlook, 'seasonal-naive'),
          },
          {
            title: 'ERROR, LAST WEEK HELD OUT',
            align: 'right',
            value: ({ outlook: { backTest, method } }) =>
              method === 'from-rate'
                ? 'as the rate'
                : `${off(backTest.lastError[method])} (naive ${off(backTest.lastError['seasonal-naive'])})`,
          },
          {
            title: 'WEEKS TRIED',
            dropPriority: 2,
            align: 'right',
            value: ({ outlook }) => count(outlook.backTest.folds),
          },
          {
            title: 'HISTORY',
            dropPriority: 1,
            align: 'right',
            value: ({ history }) => `${history.days} d${history.filled ? `, ${history.filled} filled` : ''}`,
          },
        ],
        terminal,
      )}`,
    );
  }
  for (const [why, services] of refusals(capacity.services))
    parts.push(
      terminal.paint('yellow', wrapText(`No forecast for ${services.join(', ')}: ${why}`, 0, terminal)),
    );
  return parts.join('\n\n');
}

/** Services by the reason they have no forecast: one that all share, such as too short a history, is told once. */
function refusals(services: readonly ServiceCapacity[]): Map<string, string[]> {
  const byReason = new Map<string, string[]>();
  for (const { service, refused } of services)
    if (refused !== undefined) byReason.set(refused, [...(byReason.get(refused) ?? []), service]);
  return byReason;
}

const mase = ({ backTest }: CapacityForecast, method: ForecastMethod): string =>
  Number.isFinite(backTest.mase[method]) ? backTest.mase[method].toFixed(2) : NONE;

/** Of a week in which there was nothing no share can be told. */
const off = (error: number): string => share(Number.isFinite(error) ? error : null);

const interval = ({ peak, lower, upper }: { peak: number; lower: number; upper: number }): string =>
  `${amount(peak)} (${amount(lower)}–${amount(upper)})`;

function advice({ exhaustion, instancesToAdd, instances, concurrency }: Reviewed): string {
  const add =
    instancesToAdd === 0
      ? ''
      : `add ${instancesToAdd} to the ${instances} instances to keep the upper bound within ${MAX_UTILIZATION * 100} % of capacity`;
  if (exhaustion.expected !== null && exhaustion.expected === concurrency.days[0]?.start)
    return `more is asked than there is capacity for already; ${add}`;
  if (exhaustion.expected !== null)
    return `capacity is expected to be exhausted on ${day(exhaustion.expected)}; ${add}`;
  if (exhaustion.upper !== null)
    return `capacity may be exhausted from ${day(exhaustion.upper)} on (upper bound); ${add}`;
  return add ? `within capacity, with little to spare: ${add}` : 'enough until the end of the forecast';
}
