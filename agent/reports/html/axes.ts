import { clock, shortDay } from '../format.ts';

/** Round tick values from 0 to at least `max`, about `wanted` of them. */
export function niceTicks(max: number, wanted = 4): number[] {
  if (!(max > 0) || !Number.isFinite(max)) return [0, 1];
  const rough = max / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  const steps = Math.ceil(max / step - 1e-9);
  return Array.from({ length: steps + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

export interface TimeTick {
  at: number;
  label: string;
  /** Hidden where space is short. */
  minor: boolean;
}

const STEPS = [
  3_600,
  3 * 3_600,
  6 * 3_600,
  12 * 3_600,
  86_400,
  2 * 86_400,
  7 * 86_400,
  14 * 86_400,
  30 * 86_400,
];

/** At most eight full hours or UTC days between `from` and `to`, epoch seconds. */
export function timeTicks(from: number, to: number): TimeTick[] {
  const step = STEPS.find((candidate) => (to - from) / candidate <= 8) ?? 90 * 86_400;
  const ticks: TimeTick[] = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    ticks.push({
      at,
      label: step < 86_400 && at % 86_400 !== 0 ? clock(at) : shortDay(at),
      minor: ticks.length % 2 === 1,
    });
  }
  return ticks;
}
