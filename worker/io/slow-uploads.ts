import { elapsedMs } from '../../shared/elapsed.ts';

/** A body that takes longer than a second to arrive. */
interface SlowUpload {
  readonly client: string;
  /** Epoch ms. */
  seenAt: number;
}

/** The runtime runs no more code for a request whose client has disconnected: its upload is dropped after this time. */
const FORGET_AFTER_MS = 5_000;
const MAX_CLIENTS = 4_096;

/** Limits how many bodies one client sends slowly at the same time. */
export class SlowUploads {
  readonly #max: number;
  readonly #byClient = new Map<string, Set<SlowUpload>>();

  /** `max`: per client. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Null: the client has too many. Update `seenAt` at least every second. */
  begin(client: string, now: number): SlowUpload | null {
    if (this.#byClient.size >= MAX_CLIENTS)
      for (const known of this.#byClient.keys()) this.#sweep(known, now);
    this.#sweep(client, now);
    const uploads = this.#byClient.get(client) ?? new Set();
    if (uploads.size >= this.#max) return null;
    const upload = { client, seenAt: now };
    uploads.add(upload);
    this.#byClient.set(client, uploads);
    return upload;
  }

  end(upload: SlowUpload): void {
    const uploads = this.#byClient.get(upload.client);
    uploads?.delete(upload);
    if (uploads?.size === 0) this.#byClient.delete(upload.client);
  }

  #sweep(client: string, now: number): void {
    for (const upload of this.#byClient.get(client) ?? []) {
      if (elapsedMs(upload.seenAt, now) > FORGET_AFTER_MS) this.end(upload);
    }
  }
}
