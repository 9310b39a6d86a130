import { createSocket } from 'node:dgram';
import { addToSketch, emptySketch } from '../../../shared/sketch.ts';
import { instanceKey, type TrafficDelta } from '../../core/state.ts';
import { listenError } from '../../lib/listen-error.ts';
import { connectAddress } from '../render/quoting.ts';
import { parseLogLine } from './log-line.ts';

/** HAProxy's log of every request, as latencies per instance. HAProxy's counters stay what counts are taken from. */
export interface LogListener {
  /** Latencies since the last call, one delta per instance, no successes or failures among them. */
  takeLatencies(now: number): TrafficDelta[];
  /** Lines left unread because too many came. */
  skipped(): number;
  close(): void;
}

export interface LogListenerOptions {
  /** Address of the agent-check; the log comes to the same port over UDP. */
  bind: string;
  /** Milliseconds from which a call of the service is slow; undefined: no such service. */
  slowCall(service: string): number | undefined;
  isKnown(key: string): boolean;
  onUnconnected(service: string, instance: string): void;
}

/** Reading costs about 5 µs a line: at most 5 % of a core, and a sample of the rest gives the same percentiles. */
const LINES_PER_SLICE = 1_000;
const SLICE_MS = 100;

/**
 * Listens for log lines. Lost lines lose nothing but samples, so nothing is buffered beyond the kernel's own buffer.
 * Only this machine is listened to. Rejects when the port is taken.
 */
export async function startLogListener(options: LogListenerOptions): Promise<LogListener> {
  const { host, port } = connectAddress(options.bind);
  const tallies = new Map<string, { service: string; instance: string; slow: number; sketch: Sketch }>();
  let sliceEnds = 0;
  let inSlice = 0;
  let skipped = 0;

  const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 });
  socket.on('message', (message, { address }) => {
    if (address !== host) return;
    if (++inSlice > LINES_PER_SLICE) {
      const now = performance.now();
      if (now < sliceEnds) {
        skipped += 1;
        return;
      }
      sliceEnds = now + SLICE_MS;
      inSlice = 1;
    }
    read(message.toString('latin1', 0, 400));
  });

  function read(line: string): void {
    const request = parseLogLine(line);
    if (!request) return;
    const { service, instance, latencyMs, unconnected } = request;
    const key = instanceKey(service, instance);
    const slowCall = options.slowCall(service);
    if (slowCall === undefined || !options.isKnown(key)) return;
    if (unconnected) {
      options.onUnconnected(service, instance);
      return;
    }
    const tally = tallies.get(key) ?? { service, instance, slow: 0, sketch: emptySketch() };
    tallies.set(key, tally);
    addToSketch(tally.sketch, latencyMs);
    if (latencyMs >= slowCall) tally.slow += 1;
  }

  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) =>
      reject(listenError('haproxy.agentCheck (UDP)', options.bind, error)),
    );
    socket.bind({ address: host, port }, resolve);
  });
  socket.removeAllListeners('error');
  // A datagram socket goes on after an error; there is nothing to put right.
  socket.on('error', () => undefined);

  return {
    takeLatencies(now) {
      const deltas = [...tallies.values()].map(({ service, instance, slow, sketch }): TrafficDelta => {
        const nothing = { success: 0, failure: 0 };
        return {
          kind: 'traffic',
          source: 'haproxy',
          service,
          instance,
          at: now,
          ...nothing,
          slow,
          latency: sketch,
        };
      });
      tallies.clear();
      return deltas;
    },
    skipped: () => skipped,
    close: () => socket.close(),
  };
}

type Sketch = ReturnType<typeof emptySketch>;
