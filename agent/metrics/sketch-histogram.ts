import { type Sketch, sketchCountAbove } from '../../shared/sketch.ts';

type Labels = Readonly<Record<string, string>>;

interface Series {
  labels: Labels;
  /** Observations at or below each of `bounds`. */
  atMost: number[];
  count: number;
  sum: number;
}

export interface SketchHistogram {
  /** Adds every latency of a sketch (milliseconds). */
  add(labels: Labels, sketch: Sketch): void;
  /** Adds one latency, in seconds. */
  observe(labels: Labels, seconds: number): void;
  /** Removes the matching series. */
  remove(matches: (labels: Labels) => boolean): void;
  /** In Prometheus' text format. */
  text(): string;
}

/**
 * A Prometheus histogram in seconds that takes whole sketches. prom-client observes one value at a time: ten thousand
 * calls for a report of ten thousand requests. A value lands in its bucket to within the sketch's error of 1 %.
 */
export function createSketchHistogram(
  name: string,
  help: string,
  bounds: readonly number[],
): SketchHistogram {
  const all = new Map<string, Series>();
  const seriesOf = (labels: Labels): Series => {
    const key = JSON.stringify(labels);
    const known = all.get(key);
    if (known) return known;
    const created = { labels, atMost: bounds.map(() => 0), count: 0, sum: 0 };
    all.set(key, created);
    return created;
  };
  return {
    add(labels, sketch) {
      const series = seriesOf(labels);
      for (const [index, bound] of bounds.entries()) {
        const atMost = sketch.count - sketchCountAbove(sketch, bound * 1000);
        series.atMost[index] = (series.atMost[index] ?? 0) + atMost;
      }
      series.count += sketch.count;
      series.sum += sketch.sum / 1000;
    },
    observe(labels, seconds) {
      const series = seriesOf(labels);
      for (const [index, bound] of bounds.entries()) {
        if (seconds <= bound) series.atMost[index] = (series.atMost[index] ?? 0) + 1;
      }
      series.count += 1;
      series.sum += seconds;
    },
    remove(matches) {
      for (const [key, series] of all) if (matches(series.labels)) all.delete(key);
    },
    text() {
      const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
      for (const { labels, atMost, count, sum } of all.values()) {
        const own = Object.entries(labels).map(([label, value]) => `${label}=${quoted(value)}`);
        const withBound = (bound: string) => `${name}_bucket{${[...own, `le="${bound}"`].join(',')}}`;
        for (const [index, bound] of bounds.entries())
          lines.push(`${withBound(String(bound))} ${atMost[index]}`);
        lines.push(`${withBound('+Inf')} ${count}`);
        lines.push(`${name}_sum{${own.join(',')}} ${sum}`, `${name}_count{${own.join(',')}} ${count}`);
      }
      return `${lines.join('\n')}\n`;
    },
  };
}

/** A label's value in Prometheus' text format. */
export const quoted = (value: string): string =>
  `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
