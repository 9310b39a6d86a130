import { wronged } from './faults.ts';
import { zeroCounters } from './gateway.ts';
import {
  newTally,
  quantile,
  Simulation,
  type SimulationOptions,
  type Tally,
  WARM_UP_MS,
} from './simulation.ts';

/** What is no fault of one instance, and evidence that goes missing. */

export interface WeatherResult {
  readonly name: string;
  readonly tally: Tally;
  /** Verdicts against instances. */
  readonly wronged: readonly string[];
  /** The most instances that were out or on a small share at once. */
  readonly mostOut: number;
  readonly p999: number;
}

interface Weather {
  readonly name: string;
  readonly seconds: number;
  readonly options?: SimulationOptions;
  /** Called after the warm-up. */
  readonly begin?: (simulation: Simulation) => void;
}

export function runWeather({ name, seconds, options, begin }: Weather, seed = 1): WeatherResult {
  const simulation = new Simulation({ seed, ...options });
  simulation.runUntil(WARM_UP_MS);
  simulation.tally = newTally();
  begin?.(simulation);
  simulation.runUntil(WARM_UP_MS + seconds * 1_000);
  const { agent, tally } = simulation;
  const changes = agent.changes.filter(({ trueAt }) => trueAt >= WARM_UP_MS);
  return {
    name,
    tally,
    wronged: wronged(changes),
    mostOut: mostOut(changes),
    p999: quantile(tally.times, 0.999),
  };
}

export const verdictsAfter = ({ agent }: Simulation, ms: number): string[] =>
  wronged(agent.changes.filter(({ trueAt }) => trueAt >= ms));

function mostOut(changes: Simulation['agent']['changes']): number {
  const out = new Set<string>();
  const small = new Set<string>();
  let most = 0;
  for (const { kind, instance, to } of changes) {
    if (kind === 'state') out[to === 'down' ? 'add' : 'delete'](instance);
    if (kind === 'outlier') small[to === '100 %' ? 'delete' : 'add'](instance);
    most = Math.max(most, new Set([...out, ...small]).size);
  }
  return most;
}

export const correlatedSlowness: Weather = {
  name: 'shared database 20 × slower for 30 s',
  seconds: 60,
  begin: (simulation) => {
    for (const { faults } of simulation.instances) faults.factor = 20;
    simulation.clock.after(30_000, () => {
      for (const instance of simulation.instances) instance.heal();
    });
  },
};

const noise = (name: string, options: SimulationOptions, seconds = 3_600): Weather => ({
  name,
  seconds,
  options,
});
/** Each is an hour of a healthy fleet. */
export const NOISE: readonly Weather[] = [
  noise('an hour of noise: 3 instances, 60/s', { rate: 60, sigma: 0.6 }),
  noise('an hour of noise: slow and heavy-tailed (mean 200 ms, σ 1)', { rate: 45, meanMs: 200, sigma: 1 }),
  noise('an hour of noise: 2 requests/s, σ 1', { rate: 2, meanMs: 200, sigma: 1 }),
  noise('an hour of noise: 10 instances, 200 isolates', {
    instances: 10,
    rate: 60,
    isolates: 200,
    sigma: 0.8,
  }),
];

/** Background failures of a healthy fleet: 1 % errors and 0.2 % resets everywhere. */
export const backgroundErrors: Weather = {
  name: 'an hour with 1 % errors and 0.2 % resets everywhere',
  seconds: 3_600,
  options: { rate: 60 },
  begin: ({ instances }) => {
    for (const { faults } of instances) Object.assign(faults, { errorShare: 0.01, resetShare: 0.002 });
  },
};

export const flapping: Weather = {
  name: 'flapping: killed for 3 s of every 10 s',
  seconds: 90,
  begin: (simulation) => {
    const instance = simulation.instance(0);
    const flap = (): void => {
      instance.kill();
      simulation.clock.after(3_000, () => instance.restart());
      simulation.clock.after(10_000, flap);
    };
    flap();
  },
};

export const badDeploy = (instances: number): Weather => ({
  name: `bad deploy: half of ${instances} answer 500`,
  seconds: 40,
  options: { instances },
  begin: (simulation) => {
    for (const { faults } of simulation.instances.slice(0, Math.floor(instances / 2))) faults.errorShare = 1;
  },
});

export const coldStart: Weather = {
  name: 'cold start: a restarted instance is 5 × slower for 20 s',
  seconds: 60,
  begin: (simulation) => {
    const instance = simulation.instance(0);
    instance.kill();
    simulation.clock.after(5_000, () => {
      instance.restart();
      instance.faults.factor = 5;
    });
    simulation.clock.after(25_000, () => instance.heal());
  },
};

export const loadStep: Weather = {
  name: 'tenfold load for 20 s',
  seconds: 45,
  options: { slots: 4, rate: 100 },
  begin: (simulation) => {
    simulation.rate = 1_000;
    simulation.clock.after(20_000, () => {
      simulation.rate = 100;
    });
  },
};

/** More load than there is capacity: hedging must not add to it. */
export const overload: Weather = {
  name: 'overload: 1.5 × the capacity for 10 s',
  seconds: 40,
  options: { slots: 4, rate: 300, meanMs: 20 },
  begin: (simulation) => {
    simulation.rate = 900;
    simulation.clock.after(10_000, () => {
      simulation.rate = 300;
    });
  },
};

export const halfSpeed: Weather = {
  name: 'one of 3 at half speed',
  seconds: 60,
  options: { slots: 8, meanMs: 20, rate: 500 },
  begin: (simulation) => {
    simulation.instance(0).faults.factor = 2;
  },
};

export const pausing: Weather = {
  name: 'one of 3 stalls 2 s in 10',
  seconds: 120,
  options: { slots: 8, meanMs: 20, rate: 300 },
  begin: (simulation) => {
    const instance = simulation.instance(0);
    const pause = (): void => {
      instance.hang();
      simulation.clock.after(2_000, () => instance.resume());
      simulation.clock.after(10_000, pause);
    };
    pause();
  },
};

export const full: Weather = {
  name: 'all instances full (maxconn reached, 20 s)',
  seconds: 60,
  options: { maxconn: 2, meanMs: 100, rate: 30 },
  begin: (simulation) => {
    simulation.rate = 100;
    simulation.clock.after(20_000, () => {
      simulation.rate = 30;
    });
  },
};

/** 40 clients wait 30 s for each answer, over and over. */
export function longPolls(simulation: Simulation, pin: string | null, clients = 40): void {
  const poll = (): void =>
    simulation.request({ holdMs: 30_000, pin }, () => void simulation.clock.after(10, poll));
  for (let client = 0; client < clients; client++) simulation.clock.after(client * 25, poll);
}

export const restart: Weather = {
  name: 'agent restarted, 3 s down',
  seconds: 60,
  begin: (simulation) => simulation.agent.restart(3_000),
};

export const clockBack: Weather = {
  name: 'clock of the agent set back by 1 h',
  seconds: 60,
  begin: (simulation) => {
    simulation.agent.clockOffset = -3_600_000;
  },
};

export const logLost: Weather = {
  name: 'no line of the log arrives',
  seconds: 60,
  begin: (simulation) => {
    simulation.agent.logLost = true;
  },
};

export const countersReset: Weather = {
  name: 'HAProxy counters reset every 5 s',
  seconds: 60,
  begin: (simulation) =>
    simulation.clock.every(5_000, () => {
      for (const server of simulation.gateway.servers) server.counters = zeroCounters();
    }),
};
