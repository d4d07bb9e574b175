/** How the browser's window gets in: it proves that it has the token, and never sends it. */

const KEPT = 'conmim-token';

/** What a window that was let in has. */
export interface Entry {
  /** Opens a socket, once. */
  ticket: string;
  /** Part of the addresses of pictures. */
  media: string;
}
/** `refused`: the program is there, and the token is not its own. `unreachable`: no program answers. */
export type Admission = Entry | 'refused' | 'unreachable';

/** A program that has not answered for so long is not there, ms. */
const PATIENCE = 30_000;

/** The token that this window got in with: it is not changed for another program's that came to the same address. */
let proven: string | null = null;

/** Tries the token of the address, then the one that this browser kept. */
export async function enter(): Promise<Admission> {
  for (const token of proven !== null ? [proven] : new Set([ofAddress(), kept()])) {
    if (!token) continue;
    const admission = await enterWith(token);
    if (admission !== 'refused') return admission;
  }
  return 'refused';
}

/** Tries a token, and keeps it where it is right. */
export async function enterWith(token: string): Promise<Admission> {
  const challenge = await ask<{ challenge: string }>('challenge');
  if (typeof challenge === 'string') return challenge;
  const query = new URLSearchParams({ challenge: challenge.challenge, proof: await sign(token, challenge.challenge) });
  const entry = await ask<Entry>(`admit?${query}`);
  if (typeof entry === 'string') return entry;
  proven = token;
  try {
    localStorage.setItem(KEPT, token);
  } catch {
    // A browser that keeps nothing asks for it again.
  }
  clearAddress();
  return entry;
}

/** What a person pastes: a token, or the whole address. */
export const tokenIn = (text: string): string => /[?&]token=([\w-]+)/.exec(text)?.[1] ?? text.trim();

function kept(): string | null {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

const ofAddress = () => new URL(location.href).searchParams.get('token');

/** The token does not stay where others look over a shoulder, nor in a bookmark. */
function clearAddress() {
  const url = new URL(location.href);
  if (!url.searchParams.has('token')) return;
  url.searchParams.delete('token');
  history.replaceState(history.state, '', url);
}

async function ask<T>(path: string): Promise<T | 'refused' | 'unreachable'> {
  try {
    const response = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
    if (response.status === 403) return 'refused';
    return response.ok ? await response.json() : 'unreachable';
  } catch {
    return 'unreachable';
  }
}

/** HMAC-SHA256, hexadecimal. */
async function sign(token: string, text: string): Promise<string> {
  const encode = (of: string) => new TextEncoder().encode(of);
  const key = await crypto.subtle.importKey('raw', encode(token), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const signature = new Uint8Array(await crypto.subtle.sign('HMAC', key, encode(text)));
  return [...signature].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
