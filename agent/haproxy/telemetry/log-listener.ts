import { createSocket, type Socket } from 'node:dgram';
import { addToSketch, emptySketch, type Sketch } from '../../../shared/sketch.ts';
import type { RequestDelta } from '../../core/requests.ts';
import { instanceKey, type TrafficDelta } from '../../core/state.ts';
import { listenError } from '../../lib/listen-error.ts';
import { connectAddress } from '../socket/address.ts';
import { createHeldAnswers, type HeldClass } from './held-answers.ts';
import { attemptOf, type LogFields, type LogLine, type LogLineEnd, splitLogLine } from './log-line.ts';
import { createLostCookies, type LostCookieService } from './lost-cookies.ts';
import { createMalformedCounter } from './malformed-counter.ts';
import { createRequestCounter } from './request-counter.ts';
import { shortageOf } from './shortage.ts';

/**
 * From HAProxy's request log: the latencies of attempts per instance, and the requests of clients that do not use the edge.
 * Counts of attempts come from HAProxy's counters.
 */
export interface LogListener {
  /** Latencies since the last call: one delta per instance, with zero successes and failures. */
  takeLatencies(now: number): TrafficDelta[];
  /** Attempts since the last call that ended because the client's body or trailers were malformed, by `backend/server`. */
  takeMalformed(): ReadonlyMap<string, number>;
  /** Requests since the last call: one delta per service. */
  takeRequests(now: number): RequestDelta[];
  /** What the lines show about the settings of services. */
  findings(now: number): { held: HeldClass[]; lostCookies: LostCookieService[] };
  close(): void;
}

export interface LogListenerOptions {
  /** The address of the agent-check; HAProxy sends its log to the same port over UDP. */
  bind: string;
  /** Milliseconds from which a request to the service counts as slow; undefined when there is no such service. */
  slowCall(service: string): number | undefined;
  isKnown(key: string): boolean;
  onConnectFailure(service: string, instance: string): void;
  /** HAProxy reached a limit of its own, such as `process FD limit`. */
  onShortage(limit: string): void;
  /** Every line, for traces. */
  onLine?(line: string, fields: LogFields): void;
}

/** Reading latencies takes about 5 µs a line, so this limit is 5 % of a core. A sample gives the same percentiles. */
const LINES_PER_SLICE = 1_000;
const SLICE_MS = 100;
/** Long enough for all fields before the path; the client controls the length of the path. */
const MAX_LINE = 640;
const SWITCHING_PROTOCOLS = 101;
/** Ends that the instance did not cause, so their times say nothing about it. */
const HAS_NO_TIME: ReadonlySet<LogLineEnd> = new Set(['queue-timeout', 'malformed']);
/**
 * A client that leaves sooner does not leave because of the wait. The edge waits at least this long for a first answer.
 */
const MIN_ABANDONED_MS = 45;

interface LatencySample {
  service: string;
  instance: string;
  slow: number;
  abandoned: number;
  stopped: number;
  sketch: Sketch;
}

/**
 * Listens for log lines from this machine. Every line counts as a request; latencies are sampled. Nothing is buffered
 * beyond the kernel's socket buffer. Rejects when the port is taken.
 */
export async function startLogListener(options: LogListenerOptions): Promise<LogListener> {
  const { host } = connectAddress(options.bind);
  const samples = new Map<string, LatencySample>();
  const malformed = createMalformedCounter(options.isKnown);
  const withinRate = createRateGuard();
  const heldAnswers = createHeldAnswers();
  const lostCookies = createLostCookies();
  const requests = createRequestCounter((name) => options.slowCall(name) !== undefined);

  const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 });
  socket.on('message', (message, { address }) => {
    if (address !== host) return;
    const line = message.toString('latin1', 0, MAX_LINE);
    // A line of a request starts with the client's address.
    if (line.startsWith('Proxy ')) {
      const limit = shortageOf(line);
      if (limit !== null) options.onShortage(limit);
      return;
    }
    const fields = splitLogLine(line);
    if (!fields) return;
    options.onLine?.(line, fields);
    requests.count(fields);
    malformed.count(fields);
    if (withinRate()) record(fields);
  });

  function record(fields: LogFields): void {
    const line = attemptOf(fields);
    if (!line) return;
    const { service, instance } = line;
    const key = instanceKey(service, instance);
    const slowCall = options.slowCall(service);
    if (slowCall === undefined || !options.isKnown(key) || HAS_NO_TIME.has(line.end)) return;
    if (line.end === 'connect-failed') {
      options.onConnectFailure(service, instance);
      return;
    }
    observeCookie(fields, line, Date.now());
    if (hasOthersTime(fields, line)) return;
    observeAnswer(fields, line, slowCall);
  }

  function observeAnswer(fields: LogFields, line: LogLine, slowCall: number): void {
    const { service, instance, latencyMs } = line;
    const now = Date.now();
    const key = instanceKey(service, instance);
    const answer = { request: line.request, latencyMs, isStream: isStream(fields, line) };
    // The time of a held answer depends on the service.
    if (line.end === 'answered' && heldAnswers.observe(service, answer, now)) return;
    const sample = samples.get(key) ?? noSample(service, instance);
    samples.set(key, sample);
    addSample(sample, line, slowCall);
    const hasWaited = answer.isStream || latencyMs >= STOPPED_MS;
    if (hasWaited && !heldAnswers.mayStayOpen(service, line.request)) sample.stopped += 1;
  }

  function observeCookie({ client, isWithoutSession }: LogFields, { service, status }: LogLine, now: number) {
    if (isWithoutSession === null) return;
    lostCookies.observe({ service, client, isWithoutSession, status }, now);
  }

  await bindSocket(socket, options.bind);

  return {
    takeLatencies(now) {
      const deltas = [...samples.values()].map((sample) => toDelta(sample, now));
      samples.clear();
      return deltas;
    },
    takeMalformed: malformed.take,
    takeRequests: requests.take,
    findings: (now) => ({ held: heldAnswers.list(now), lostCookies: lostCookies.list() }),
    close: () => socket.close(),
  };
}

async function bindSocket(socket: Socket, bind: string): Promise<void> {
  const { host, port } = connectAddress(bind);
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) =>
      reject(listenError('haproxy.agentCheck (UDP)', bind, error)),
    );
    socket.bind({ address: host, port }, resolve);
  });
  socket.removeAllListeners('error');
  // A UDP socket keeps working after an error.
  socket.on('error', () => undefined);
}

/** A tunnel has no response time, and that of an upload depends on the client. */
const hasOthersTime = ({ longLived, isUpload }: LogFields, { status }: LogLine): boolean =>
  longLived || isUpload || status === SWITCHING_PROTOCOLS;

const noSample = (service: string, instance: string): LatencySample => ({
  service,
  instance,
  slow: 0,
  abandoned: 0,
  stopped: 0,
  sketch: emptySketch(),
});

const toDelta = (
  { service, instance, slow, abandoned, stopped, sketch }: LatencySample,
  at: number,
): TrafficDelta => ({
  kind: 'traffic',
  source: 'haproxy',
  service,
  instance,
  at,
  success: 0,
  failure: 0,
  slow,
  abandoned,
  stopped,
  ...(sketch.count > 0 && { latency: sketch }),
});

const STOPPED_MS = 5_000;

/** Open for at least five seconds after the headers, with less than one byte per millisecond: slower than a download. */
const isStream = ({ bytes }: LogFields, { latencyMs, totalMs }: LogLine): boolean => {
  const openMs = totalMs - latencyMs;
  return openMs >= STOPPED_MS && bytes < openMs;
};

function addSample(sample: LatencySample, { end, latencyMs }: LogLine, slowCall: number): void {
  if (end === 'abandoned') {
    if (latencyMs >= MIN_ABANDONED_MS) sample.abandoned += 1;
    return;
  }
  addToSketch(sample.sketch, latencyMs);
  if (latencyMs >= slowCall) sample.slow += 1;
}

/** True while fewer than LINES_PER_SLICE lines arrived in the current slice. */
function createRateGuard(): () => boolean {
  let sliceEnds = 0;
  let inSlice = 0;
  return () => {
    inSlice += 1;
    if (inSlice <= LINES_PER_SLICE) return true;
    const now = performance.now();
    if (now < sliceEnds) return false;
    sliceEnds = now + SLICE_MS;
    inSlice = 1;
    return true;
  };
}
