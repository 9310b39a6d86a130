/** The header fields of a request, read once: every other read would be a call into the runtime. */
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

  /** `name` is in lower case. Null: there is no such field. */
  get(name: string): string | null {
    return this.values[this.names.indexOf(name)] ?? null;
  }

  keys(): Iterable<string> {
    return this.names;
  }

  /** As on the wire: `name: value` and a line end. */
  get bytes(): number {
    return this.names.reduce((sum, name, at) => sum + name.length + (this.values[at] ?? '').length + 4, 0);
  }
}
