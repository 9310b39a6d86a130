/**
 * The availability samples of instances without requests, two bytes for each instance. The traffic window keeps them for
 * five minutes, where an object for each instance and bucket would take most of the memory of an idle instance.
 */
export class IdleSamples {
  readonly #keys: KeyList;
  #samples: Uint8Array;
  #upSamples: Uint8Array;

  constructor(keys: KeyList) {
    this.#keys = keys;
    this.#samples = new Uint8Array(keys.size);
    this.#upSamples = new Uint8Array(keys.size);
  }

  /** Counts a sample. Returns whether there was room for it. */
  add(key: string, up: boolean): boolean {
    const index = this.#keys.indexOf(key);
    if (index >= this.#samples.length) this.#grow(index);
    const samples = this.#samples[index] ?? 0;
    if (samples === MAX_SAMPLES) return false;
    this.#samples[index] = samples + 1;
    if (up) this.#upSamples[index] = (this.#upSamples[index] ?? 0) + 1;
    return true;
  }

  /** Null: no sample. */
  get(key: string): SampleCounts | null {
    const index = this.#keys.find(key);
    const samples = index === undefined ? 0 : (this.#samples[index] ?? 0);
    if (index === undefined || samples === 0) return null;
    return { samples, upSamples: this.#upSamples[index] ?? 0 };
  }

  addTo(sums: IdleSums): void {
    const sum = sums.of(this.#keys);
    const length = Math.min(this.#samples.length, sum.samples.length);
    for (let index = 0; index < length; index++) {
      sum.samples[index] = (sum.samples[index] ?? 0) + (this.#samples[index] ?? 0);
      sum.upSamples[index] = (sum.upSamples[index] ?? 0) + (this.#upSamples[index] ?? 0);
    }
  }

  #grow(index: number): void {
    const length = Math.max(this.#keys.size, index + 1, Math.ceil(this.#samples.length * 1.5));
    this.#samples = extended(this.#samples, length);
    this.#upSamples = extended(this.#upSamples, length);
  }
}

/** In an interval of five seconds the agent takes one sample. */
const MAX_SAMPLES = 255;

export interface SampleCounts {
  samples: number;
  upSamples: number;
}

function extended(from: Uint8Array, length: number): Uint8Array {
  const to = new Uint8Array(length);
  to.set(from);
  return to;
}

/** The place of every key. A place never changes, so all buckets of some minutes share one list. */
export class KeyList {
  readonly #indexes = new Map<string, number>();

  get size(): number {
    return this.#indexes.size;
  }

  find(key: string): number | undefined {
    return this.#indexes.get(key);
  }

  /** Adds the key if it is new. */
  indexOf(key: string): number {
    const found = this.#indexes.get(key);
    if (found !== undefined) return found;
    this.#indexes.set(key, this.#indexes.size);
    return this.#indexes.size - 1;
  }

  keys(): Iterable<string> {
    return this.#indexes.keys();
  }

  /** Whether most of the keys are those of instances that are gone: then a new list is shorter. */
  isStale(instances: number): boolean {
    return this.size > 2 * instances + 100;
  }
}

/** The sum of several IdleSamples. */
export class IdleSums {
  readonly #byList = new Map<KeyList, { samples: Uint32Array; upSamples: Uint32Array }>();

  of(keys: KeyList): { samples: Uint32Array; upSamples: Uint32Array } {
    const found = this.#byList.get(keys);
    if (found) return found;
    const created = { samples: new Uint32Array(keys.size), upSamples: new Uint32Array(keys.size) };
    this.#byList.set(keys, created);
    return created;
  }

  /** The sums that are not zero. */
  *entries(): Generator<readonly [key: string, counts: SampleCounts]> {
    let counts: SampleCounts = { samples: 0, upSamples: 0 };
    for (const [list, sum] of this.#byList) {
      let index = -1;
      for (const key of list.keys()) {
        index++;
        const { [index]: samples = 0 } = sum.samples;
        const { [index]: upSamples = 0 } = sum.upSamples;
        // Nearly all instances have the same counts.
        if (samples !== counts.samples || upSamples !== counts.upSamples) counts = { samples, upSamples };
        if (samples > 0) yield [key, counts];
      }
    }
  }
}
