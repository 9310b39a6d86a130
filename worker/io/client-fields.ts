/** The header fields of a request, read once, because every read from `Headers` is a call into the runtime. */
export class ClientFields {
  /** In lower case. */
  readonly names: string[] = [];
  readonly values: string[] = [];

  constructor(headers: Headers) {
    for (const [name, value] of headers) {
      this.names.push(name);
      this.values.push(value);
    }
  }

  /** `name` must be in lower case. Null if there is no such field. */
  get(name: string): string | null {
    const at = this.names.indexOf(name);
    // To read at -1 would look for a property named "-1", by a slow call into the engine.
    return at < 0 ? null : (this.values[at] ?? null);
  }

  keys(): Iterable<string> {
    return this.names;
  }

  /** The size on the wire, with `: ` and a line end for each field. */
  get bytes(): number {
    return this.names.reduce((sum, name, at) => sum + name.length + (this.values[at] ?? '').length + 4, 0);
  }
}
