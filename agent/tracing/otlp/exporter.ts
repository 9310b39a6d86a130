import type { Config } from '../../../shared/config/config.ts';
import { resolveSecret } from '../../../shared/config/secret-references.ts';
import { errorMessage } from '../../../shared/error-message.ts';
import type { Log } from '../../lib/log.ts';
import type { SpanSender } from './send.ts';
import type { SpanData } from './spans.ts';

/**
 * Exports spans to the collector of `telemetry.otlp`, in batches from a bounded queue. When the collector is slow or
 * unavailable, spans are dropped and counted; nothing else is affected.
 */
export interface SpanExporter {
  isOn(): boolean;
  hasRoom(): boolean;
  add(spans: readonly SpanData[]): void;
  close(timeoutMs: number): Promise<void>;
}

export interface SpanExporterOptions {
  config: () => Pick<Config, 'telemetry'>;
  variable: (name: string) => string | undefined;
  version: string;
  log: Log;
  onExported(count: number): void;
  onDropped(count: number): void;
}

type OtlpConfig = NonNullable<Config['telemetry']['otlp']>;

const MAX_QUEUE = 4_096;
const MAX_BATCH = 512;
const INTERVAL_MS = 2_000;
const TIMEOUT_MS = 10_000;

export function createSpanExporter(options: SpanExporterOptions): SpanExporter {
  const { config, log } = options;
  let queue: SpanData[] = [];
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | null = null;
  const senders = createSenders(options);
  let lastError: string | null = null;

  function noteResult(error: string | null): void {
    if (error !== null && error !== lastError) log.warn({ error }, 'spans not exported');
    if (error === null && lastError !== null) log.info('spans are exported again');
    lastError = error;
  }

  async function sendBatch(): Promise<void> {
    const batch = queue.slice(0, MAX_BATCH);
    queue = queue.slice(MAX_BATCH);
    const { otlp } = config().telemetry;
    if (!otlp) {
      queue = [];
      return;
    }
    try {
      await (await senders.senderFor(otlp)).send(batch);
      options.onExported(batch.length);
      noteResult(null);
    } catch (error) {
      options.onDropped(batch.length);
      noteResult(errorMessage(error));
    }
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (sending || queue.length === 0) return;
    sending = sendBatch().finally(() => {
      sending = null;
      schedule();
    });
  }

  /** A full batch is sent at once, a smaller one after INTERVAL_MS. */
  function schedule(): void {
    if (queue.length >= MAX_BATCH) flush();
    else if (queue.length > 0 && timer === undefined) timer = setTimeout(flush, INTERVAL_MS).unref();
  }

  return {
    isOn: () => config().telemetry.otlp !== undefined,
    hasRoom: () => queue.length < MAX_QUEUE,
    add(spans) {
      if (!config().telemetry.otlp) return;
      const room = Math.max(0, MAX_QUEUE - queue.length);
      queue.push(...spans.slice(0, room));
      if (spans.length > room) options.onDropped(spans.length - room);
      schedule();
    },
    async close(timeoutMs) {
      clearTimeout(timer);
      const late = new Promise<void>((resolve) => setTimeout(resolve, timeoutMs).unref());
      const rest = async (): Promise<void> => {
        await sending;
        while (queue.length > 0 && lastError === null) await sendBatch();
        await senders.close();
      };
      await Promise.race([rest(), late]);
      if (queue.length > 0) options.onDropped(queue.length);
      queue = [];
      clearTimeout(timer);
    },
  };
}

/** The sender for the current configuration. */
function createSenders({ variable, version }: SpanExporterOptions) {
  let latest: { otlp: OtlpConfig; sender: SpanSender } | null = null;
  return {
    async senderFor(otlp: OtlpConfig): Promise<SpanSender> {
      if (latest?.otlp === otlp) return latest.sender;
      const { createSpanSender } = await import('./send.ts');
      await latest?.sender.close();
      const headers = Object.entries(otlp.headers).map(([name, value]): [string, string] => [
        name,
        resolveSecret(value, variable),
      ]);
      const sender = createSpanSender({
        url: otlp.url,
        headers: Object.fromEntries(headers),
        version,
        timeoutMs: TIMEOUT_MS,
      });
      latest = { otlp, sender };
      return sender;
    },
    close: async () => latest?.sender.close(),
  };
}
