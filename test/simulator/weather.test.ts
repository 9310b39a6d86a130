import { describe, expect, test } from 'vitest';
import { FAULTS, runFault } from './faults.ts';
import { newTally, quantile, Simulation, type Tally, WARM_UP_MS } from './simulation.ts';
import * as weather from './weather.ts';

const requestsOf = ({ gets, posts }: Tally): number => gets + posts;

describe('a healthy fleet', () => {
  test.each(weather.NOISE)('$name: no verdict, and hardly any copies', (one) => {
    const { tally, wronged } = weather.runWeather(one);
    expect(wronged).toEqual([]);
    expect(tally.getsFailed + tally.postsFailed).toBe(0);
    // An isolate with fewer than 50 requests in 10 s knows only a mean, and copies somewhat more.
    const isSparse = one.options?.rate === 2;
    expect(tally.hedges).toBeLessThanOrEqual(requestsOf(tally) * (isSparse ? 0.025 : 0.01));
  });

  test('failures that all instances have are no verdict against one', () => {
    const { wronged, tally } = weather.runWeather(weather.backgroundErrors);
    expect(wronged).toEqual([]);
    expect(tally.hedges).toBeLessThanOrEqual(requestsOf(tally) / 100);
  });

  test('when all become slow together none is an outlier', () => {
    for (const seed of [1, 2, 3]) {
      const { wronged, tally } = weather.runWeather(weather.correlatedSlowness, seed);
      expect(wronged).toEqual([]);
      expect(tally.getsFailed).toBe(0);
    }
  });

  test('ten times the load changes nothing', () => {
    const { wronged, tally } = weather.runWeather(weather.loadStep);
    expect(wronged).toEqual([]);
    expect(tally.getsFailed + tally.getsSlow).toBe(0);
  });

  test('more load than there is capacity: copies do not add to it', () => {
    const { wronged, tally } = weather.runWeather(weather.overload);
    expect(wronged).toEqual([]);
    expect(tally.hedges).toBeLessThanOrEqual(requestsOf(tally) / 100);
  });

  test('full instances are not sick', () => {
    expect(weather.runWeather(weather.full).wronged).toEqual([]);
  });
});

describe('several instances', () => {
  test.each([2, 3, 4, 10])(
    'a bad deploy of half of %i: at most half are out, and clients see it for seconds',
    (n) => {
      const { mostOut, tally } = weather.runWeather(weather.badDeploy(n));
      expect(mostOut).toBeLessThanOrEqual(Math.floor(n / 2));
      expect(tally.getsFailed).toBeLessThanOrEqual(tally.gets / 40);
    },
  );

  test('a flapping instance is held down, and no GET fails', () => {
    const { tally, mostOut } = weather.runWeather(weather.flapping);
    expect(tally.getsFailed).toBe(0);
    expect(mostOut).toBe(1);
    // Of 90 s it is held for most.
    expect(tally.byInstance.get('gs-1') ?? 0).toBeLessThan(requestsOf(tally) / 20);
  });

  test('a restarted instance that starts cold makes no request slow', () => {
    const { tally } = weather.runWeather(weather.coldStart);
    expect(tally.getsFailed + tally.getsSlow).toBe(0);
  });

  test('a recovered instance gets no more than its share of the first requests', () => {
    const simulation = new Simulation({ seed: 3 });
    simulation.runUntil(WARM_UP_MS);
    simulation.instance(0).kill();
    simulation.runUntil(WARM_UP_MS + 5_000);
    simulation.instance(0).restart();
    simulation.runUntil(WARM_UP_MS + 9_000);
    expect(simulation.agent.record('gs-1').instance.state).toBe('probation');
    simulation.tally = newTally();
    simulation.runUntil(WARM_UP_MS + 12_000);
    const { tally } = simulation;
    const own = tally.byInstance.get('gs-1') ?? 0;
    expect(own).toBeGreaterThan(0);
    expect(own).toBeLessThan(requestsOf(tally) / 3);
  });
});

describe('uneven replicas against a true shortest queue', () => {
  test.each([weather.halfSpeed, weather.pausing])('$name: p99.9 within 1.2 ×', (one) => {
    const ours = weather.runWeather(one);
    const best = weather.runWeather({
      ...one,
      options: { ...one.options, balance: 'shortest', outlier: 'off', path: 'gateway-only' },
    });
    expect(ours.p999).toBeLessThanOrEqual(1.2 * best.p999);
  });
});

describe('answers that are long by nature', () => {
  test.each([2, 3])(
    '40 long polls that the gateway spread over %i instances shift no clients away',
    (instances) => {
      const simulation = new Simulation({ instances, rate: 20, timeout: 60 });
      weather.longPolls(simulation, null);
      simulation.runUntil(70_000);
      simulation.tally = newTally();
      simulation.runUntil(250_000);
      const fair = requestsOf(simulation.tally) / instances;
      for (const { id } of simulation.instances) {
        expect(simulation.tally.byInstance.get(id) ?? 0).toBeGreaterThan(0.3 * fair);
      }
    },
  );

  test('40 long polls on one instance are no evidence against it', () => {
    const simulation = new Simulation({ rate: 20, timeout: 60 });
    simulation.runUntil(WARM_UP_MS);
    weather.longPolls(simulation, 'gs-1');
    simulation.runUntil(200_000);
    const { instance } = simulation.agent.record('gs-1');
    expect(instance).toMatchObject({ state: 'up', inflight: 40 });
    expect(instance.outlier).toBeUndefined();
    expect(instance.latencyShare).toBeUndefined();
  });

  test('WebSockets, which stay open, are no evidence and hide no hang', () => {
    const simulation = new Simulation({ timeout: 3_600 });
    for (let socket = 0; socket < 60; socket++) simulation.request({ method: 'POST', holdMs: 600_000 });
    simulation.runUntil(60_000);
    expect(weather.verdictsAfter(simulation, WARM_UP_MS)).toEqual([]);
    simulation.instance(0).hang();
    simulation.runUntil(61_500);
    expect(simulation.agent.record('gs-1').instance.state).toBe('down');
  });

  test('long polls do not use up the copies that a hang needs', () => {
    const simulation = new Simulation({ timeout: 60 });
    weather.longPolls(simulation, null);
    simulation.runUntil(70_000);
    simulation.tally = newTally();
    simulation.instance(0).hang();
    simulation.runUntil(90_000);
    expect(simulation.tally.getsFailed).toBe(0);
  });
});

describe('missing evidence is no verdict', () => {
  test.each([weather.restart, weather.clockBack, weather.logLost, weather.countersReset])('$name', (one) => {
    const { wronged, tally } = weather.runWeather(one);
    expect(wronged).toEqual([]);
    expect(tally.getsFailed + tally.postsFailed).toBe(0);
  });

  test('a hang is found without a line of the log, after a restart, and after the clock was set back', () => {
    for (const one of [weather.logLost, weather.restart, weather.clockBack]) {
      const simulation = new Simulation();
      simulation.runUntil(WARM_UP_MS);
      one.begin?.(simulation);
      simulation.runUntil(WARM_UP_MS + 20_000);
      simulation.instance(0).hang();
      simulation.runUntil(WARM_UP_MS + 22_000);
      expect(simulation.agent.record('gs-1').instance.state).toBe('down');
    }
  });

  test('without traffic a hang is found within the interval and 1 s', () => {
    const simulation = new Simulation({ rate: 0 });
    simulation.runUntil(60_000);
    simulation.instance(0).hang();
    simulation.runUntil(60_000 + simulation.service.health.interval + 1_500);
    expect(simulation.agent.record('gs-1').instance.state).toBe('down');
  });

  test('the same seed gives the same run', () => {
    const [first, second] = [runFault(FAULTS.slow, { seed: 7 }), runFault(FAULTS.slow, { seed: 7 })];
    expect(first).toEqual(second);
    expect(quantile(first.tally.times, 0.5)).toBeLessThan(10);
  });
});
