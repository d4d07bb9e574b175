import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../files/files.ts';

/** A challenge or ticket is good for so long, ms. */
const GOOD_FOR = 60_000;

const newToken = () => randomBytes(24).toString('base64url');
const isWhole = (text: string) => /^[\w-]{32}$/.test(text);

/**
 * The token that lets windows in, kept in the data folder for its owner alone, so that windows that are open survive a
 * restart.
 * @param renew makes another one: whoever has the old one is let in no more
 */
export function storedToken(home: string, renew = false): string {
  const path = join(home, 'window-token');
  const read = () => {
    try {
      const text = readFileSync(path, 'utf8').trim();
      if (isWhole(text)) return text;
    } catch {
      // there is none yet
    }
    return null;
  };
  const kept = renew ? null : read();
  if (kept !== null) {
    chmodSync(path, 0o600); // as it may have been copied from elsewhere
    return kept;
  }
  writeWhole(path, [Buffer.from(`${newToken()}\n`)], { replace: true, mode: 0o600 });
  return read()!; // of two programs that start at once, the later one's
}

/**
 * Who is let in. A window proves that it knows the token without sending it, so a program that later listens on the same
 * port learns nothing that lets it in. What the window gets in return is stored for this one address; the browser keeps it
 * from all others.
 */
export class Access {
  readonly #token: string;
  /** Key that signs challenges and tickets: nothing has to be stored for those who only ask. */
  readonly #own = randomBytes(32);
  /** Challenges and tickets that were used, until they expire. */
  readonly #used = new Map<string, number>();
  /** Part of the addresses of pictures, which a page can give no header: only windows that were let in know it. */
  readonly mediaKey: string;

  constructor(token: string) {
    this.#token = token;
    this.mediaKey = createHmac('sha256', token).update('media').digest('base64url').slice(0, 32);
  }

  /** A text that a window must sign. */
  challenge(): string {
    return this.#give('challenge');
  }

  /** Whether `proof` is the HMAC-SHA256 of `challenge` under the token, hexadecimal. Each is good once. */
  isProof(challenge: string | null, proof: string | null): boolean {
    if (challenge === null || proof === null) return false;
    const expected = createHmac('sha256', this.#token).update(challenge).digest('hex');
    return isSame(proof, expected) && this.#take('challenge', challenge);
  }

  /** What opens a socket, once. */
  ticket(): string {
    return this.#give('ticket');
  }

  isTicket(ticket: string | null): boolean {
    return ticket !== null && this.#take('ticket', ticket);
  }

  isMediaKey(key: string): boolean {
    return isSame(key, this.mediaKey);
  }

  #give(kind: string): string {
    const what = `${Math.ceil(performance.now())}.${randomBytes(12).toString('hex')}`;
    return `${what}.${this.#sign(kind, what)}`;
  }

  #take(kind: string, text: string): boolean {
    const [at = '', random = '', sign = ''] = text.split('.');
    if (!isSame(sign, this.#sign(kind, `${at}.${random}`))) return false;
    const now = performance.now();
    for (const [old, until] of this.#used) if (until < now) this.#used.delete(old);
    if (now - Number(at) > GOOD_FOR || this.#used.has(text)) return false;
    this.#used.set(text, now + GOOD_FOR);
    return true;
  }

  #sign(kind: string, what: string): string {
    return createHmac('sha256', this.#own).update(`${kind} ${what}`).digest('hex');
  }
}

/** Compares texts of any length and content in a time that tells nothing of where they differ. */
const isSame = (a: string, b: string) => timingSafeEqual(digest(a), digest(b));
const digest = (text: string) => createHash('sha256').update(text).digest();
