/** Hashes for placement, not for secrets: every isolate and the agent must compute the same numbers. */

/** 32-bit FNV-1a over UTF-16 units, finished by `mix` so that short, similar keys spread over all bits. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** MurmurHash3's finaliser: every input bit reaches every output bit. Unsigned 32-bit result. */
export function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
