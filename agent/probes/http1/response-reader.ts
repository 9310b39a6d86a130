import { TextDecoder } from 'node:util';
import { HttpSyntaxError } from '../errors.ts';

/** The part of the response that comes next. */
type ResponsePart =
  | 'head'
  | 'length'
  | 'until-close'
  | 'chunk-size'
  | 'chunk'
  | 'chunk-end'
  | 'trailer'
  | 'end';

const MAX_HEAD_BYTES = 32 * 1024;
const MAX_CHUNK_LINE_BYTES = 4 * 1024;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: |$)/;
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/;
const CONTROL_CHARACTER = /[^\t\x20-\x7e\x80-\xff]/;
const CHUNK_SIZE = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?$/;

interface ResponseFields {
  contentLength: number | null;
  transferEncoding: string;
  connection: string;
}

/**
 * Reads one HTTP/1.1 response from the bytes of a connection (RFC 9112). It is strict: everything that a proxy could read
 * in another way is an error. Keeps the text of the body only if `keepsBody`.
 */
export class ResponseReader {
  /** The status of the final response; 0 until its head was read. */
  status = 0;
  /** The connection may carry another request after this response. */
  reusable = false;
  body = '';
  bodyBytes = 0;
  readonly #headOnly: boolean;
  readonly #decoder: TextDecoder | null;
  #part: ResponsePart = 'head';
  /** The beginning of an incomplete line or head. */
  #pending = '';
  /** Bytes left of a body with a length, or of a chunk. */
  #left = 0;

  constructor(method: string, keepsBody: boolean) {
    this.#headOnly = method === 'HEAD';
    this.#decoder = keepsBody ? new TextDecoder() : null;
  }

  get ended(): boolean {
    return this.#part === 'end';
  }

  /** Throws HttpSyntaxError. `bytes` may be overwritten afterwards. */
  read(bytes: Buffer): void {
    let offset = 0;
    while (offset < bytes.length && this.#part !== 'end') offset = this.#readPart(bytes, offset);
    // More bytes than one response: the next request could get the wrong answer.
    if (offset < bytes.length) this.reusable = false;
  }

  /** The instance closed the connection. Returns whether the response was complete. */
  close(): boolean {
    if (this.#part === 'until-close') this.#part = 'end';
    return this.ended;
  }

  /** Returns the offset of the first byte that it did not consume. */
  #readPart(bytes: Buffer, offset: number): number {
    switch (this.#part) {
      case 'head':
        return this.#readHead(bytes, offset);
      case 'length':
      case 'chunk':
        return this.#readCounted(bytes, offset);
      case 'until-close':
        this.#addBody(bytes.subarray(offset));
        return bytes.length;
      default:
        return this.#readLine(bytes, offset);
    }
  }

  #readHead(bytes: Buffer, offset: number): number {
    const before = this.#pending.length;
    const text =
      this.#pending + bytes.toString('latin1', offset, Math.min(bytes.length, offset + MAX_HEAD_BYTES));
    const end = text.indexOf('\r\n\r\n', Math.max(0, before - 3));
    if (end > MAX_HEAD_BYTES || (end < 0 && text.length >= MAX_HEAD_BYTES)) {
      throw new HttpSyntaxError(`head larger than ${MAX_HEAD_BYTES} bytes`);
    }
    if (end < 0) {
      // Text that is not HTTP may have no end.
      if (!'HTTP/1.'.startsWith(text.slice(0, 7))) throw new HttpSyntaxError('no status line');
      this.#pending = text;
      return bytes.length;
    }
    this.#pending = '';
    this.#startResponse(text.slice(0, end));
    return offset + end + 4 - before;
  }

  #startResponse(head: string): void {
    const lines = head.split('\r\n');
    const [, minor, code] = STATUS_LINE.exec(lines[0] ?? '') ?? [];
    if (code === undefined) throw new HttpSyntaxError('no status line');
    const status = Number(code);
    const fields = parseFields(lines);
    // An interim response comes before the final one. 101 is final: the connection speaks another protocol then.
    if (status < 200 && status !== 101) return;
    this.status = status;
    const wanted = fields.connection.split(/[ \t]*,[ \t]*/);
    this.reusable = minor === '1' ? !wanted.includes('close') : wanted.includes('keep-alive');
    this.#startBody(fields, minor === '1');
  }

  /** RFC 9112 §6.3 */
  #startBody({ contentLength, transferEncoding }: ResponseFields, mayBeChunked: boolean): void {
    if (transferEncoding && (contentLength !== null || !mayBeChunked)) {
      throw new HttpSyntaxError('Transfer-Encoding together with Content-Length or HTTP/1.0');
    }
    if (this.status === 101) this.reusable = false;
    if (this.#headOnly || this.status < 200 || this.status === 204 || this.status === 304) this.#part = 'end';
    else if (/(^|,)[ \t]*chunked$/.test(transferEncoding)) this.#part = 'chunk-size';
    else if (transferEncoding || contentLength === null) this.#readUntilClose();
    else {
      this.#left = contentLength;
      this.#part = contentLength === 0 ? 'end' : 'length';
    }
  }

  #readUntilClose(): void {
    this.reusable = false;
    this.#part = 'until-close';
  }

  #readCounted(bytes: Buffer, offset: number): number {
    const end = Math.min(bytes.length, offset + this.#left);
    this.#left -= end - offset;
    this.#addBody(bytes.subarray(offset, end));
    if (this.#left === 0) this.#part = this.#part === 'chunk' ? 'chunk-end' : 'end';
    return end;
  }

  /** A line between chunks, or after the last one. */
  #readLine(bytes: Buffer, offset: number): number {
    const newline = bytes.indexOf(0x0a, offset);
    const end = newline < 0 ? bytes.length : newline + 1;
    const line =
      this.#pending + bytes.toString('latin1', offset, Math.min(end, offset + MAX_CHUNK_LINE_BYTES));
    if (line.length >= MAX_CHUNK_LINE_BYTES) throw new HttpSyntaxError('line too long between chunks');
    if (newline < 0) {
      this.#pending = line;
      return end;
    }
    this.#pending = '';
    if (!line.endsWith('\r\n')) throw new HttpSyntaxError('line between chunks without CR LF');
    this.#takeLine(line.slice(0, -2));
    return end;
  }

  #takeLine(line: string): void {
    if (this.#part === 'chunk-end') {
      if (line !== '') throw new HttpSyntaxError('chunk longer than its size');
      this.#part = 'chunk-size';
    } else if (this.#part === 'trailer') {
      if (line === '') this.#part = 'end';
    } else {
      const size = CHUNK_SIZE.exec(line)?.[1];
      if (size === undefined) throw new HttpSyntaxError('no chunk size');
      this.#left = Number.parseInt(size, 16);
      this.#part = this.#left === 0 ? 'trailer' : 'chunk';
    }
  }

  #addBody(bytes: Buffer): void {
    this.bodyBytes += bytes.length;
    if (this.#decoder) this.body += this.#decoder.decode(bytes, { stream: true });
  }
}

/** The fields that say where the response ends; the others are only checked. */
function parseFields(lines: readonly string[]): ResponseFields {
  const fields: ResponseFields = {
    contentLength: null,
    transferEncoding: '',
    connection: '',
  };
  for (const line of lines.slice(1)) {
    const [, name = '', value = ''] = FIELD.exec(line) ?? [];
    if (name === '' || CONTROL_CHARACTER.test(value)) throw new HttpSyntaxError('malformed header field');
    addField(fields, name.toLowerCase(), value.toLowerCase());
  }
  return fields;
}

function addField(fields: ResponseFields, name: string, value: string): void {
  if (name === 'content-length') {
    const length = /^\d{1,15}$/.test(value) ? Number(value) : null;
    if (length === null || (fields.contentLength ?? length) !== length) {
      throw new HttpSyntaxError('invalid Content-Length');
    }
    fields.contentLength = length;
  } else if (name === 'transfer-encoding') {
    fields.transferEncoding = joined(fields.transferEncoding, value);
  } else if (name === 'connection') {
    fields.connection = joined(fields.connection, value);
  }
}

const joined = (list: string, value: string): string => (list === '' ? value : `${list},${value}`);
