import type { MessageSigner } from '../lib/message-signer.ts';
import { type Intent, parseIntents } from './intent.ts';

/** The form of intents in Redis: `<signature> <JSON>`, where the signature covers the site, the field and the JSON. */
export interface SignedIntents {
  write(field: string, intent: Intent): string;
  /** The valid intents of this site, and when each was signed. Anything else is ignored. */
  read(values: { [field: string]: string }): {
    intents: Map<string, Intent>;
    signedAt: ReadonlyMap<string, number>;
    ignored: number;
  };
}

/**
 * Less than the day for which a removal is kept: the removal of an instance outlives every registration that could be
 * replayed.
 */
export const INTENT_MAX_AGE_MS = 12 * 3_600_000;
/** The API accepts bodies up to 256 KiB. */
const MAX_LENGTH = 300_000;

export function createSignedIntents(signer: MessageSigner, site: string, now: () => number): SignedIntents {
  const parts = (field: string, json: string) => ['intent', site, field, json];

  function open(field: string, value: string): { json: string; at: number } | null {
    if (value.length > MAX_LENGTH) return null;
    const space = value.indexOf(' ');
    const json = value.slice(space + 1);
    const at = signer.verify(parts(field, json), value.slice(0, Math.max(0, space)), now());
    return at === null ? null : { json, at };
  }

  return {
    write(field, intent) {
      const json = JSON.stringify(intent);
      return `${signer.sign(parts(field, json), now())} ${json}`;
    },
    read(values) {
      const opened = Object.entries(values).flatMap(([field, value]) => {
        const found = open(field, value);
        return found ? [{ field, ...found }] : [];
      });
      const intents = parseIntents(
        Object.fromEntries(opened.map(({ field, json }) => [field, parseJson(json)])),
      );
      return {
        intents,
        signedAt: new Map(opened.map(({ field, at }) => [field, at])),
        ignored: Object.keys(values).length - intents.size,
      };
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
