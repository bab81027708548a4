/**
 * What passes through Redis is sealed with a secret that Redis does not have: a Redis that was taken over can delay, drop and repeat
 * messages between the exchange's processes, but make none up.
 *
 * A sealed text is its tag, 22 characters of base64url, and then the text: HMAC-SHA256 cut to 128 bits, under a key of its own for each
 * purpose and exchange, so that a message never passes for one of another kind. Repeats are each reader's own business: it knows the
 * request ids it answered, and the journal sequences it has seen.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

const TAG_BYTES = 16;
const TAG_CHARACTERS = 22;

export type SealPurpose = 'command' | 'snapshot-request' | 'reply' | 'events';

export type Sealer = {
  readonly seal: (text: string) => string;
  /** The text, or undefined when it was not sealed with this secret for this purpose. */
  readonly open: (sealed: string) => string | undefined;
};

export function createSealer(secret: string, namespace: string, purpose: SealPurpose): Sealer {
  const key = Buffer.from(hkdfSync('sha256', secret, '', `tallystick.transport.1/${namespace}/${purpose}`, 32));
  const tagOf = (text: string): Buffer => createHmac('sha256', key).update(text).digest().subarray(0, TAG_BYTES);
  return {
    seal: (text) => tagOf(text).toString('base64url') + text,
    open: (sealed) => {
      const tag = Buffer.from(sealed.slice(0, TAG_CHARACTERS), 'base64url');
      const text = sealed.slice(TAG_CHARACTERS);
      return tag.length === TAG_BYTES && timingSafeEqual(tag, tagOf(text)) ? text : undefined;
    },
  };
}
