import { onDestroy, untrack } from 'svelte';
import { type AppError, call, onConnection } from '../api.ts';
import { go } from './router.svelte.ts';
import { sayError } from './toasts.svelte.ts';

/** What is typed is saved so long after the last letter, ms. */
const SETTLE_MS = 600;

export interface EditOf<T> {
  /** Names what is edited among all that can be: `run 4 notes`. */
  key: string;
  /** What is kept now, as this window knows it. */
  kept: () => T;
  /** As the field shows it. */
  write: (value: T) => string;
  /** What a text means. */
  read: (text: string) => T;
  /** Why a text cannot be kept; empty where it can. */
  flaw?: (value: T) => string;
  /** Keeps it; refused with `changed` where what is kept is not `before` any more. */
  save: (value: T, before: T) => Promise<unknown>;
  /** A text that was refused goes back to what is kept when its field is left: a name. Else it waits to be mended. */
  goesBack?: boolean;
  /** For a message when it is left unsaved: `The notes of run "first"`, and the screen where it stands. */
  words: () => { what: string; path: string };
}

/** Texts that were left before they could be saved, by key; what they were typed over. */
const unsaved = new Map<string, Left>();
interface Left {
  text: string;
  before: unknown;
}
const open = new Set<Edit<unknown>>();

/**
 * A text that is typed over something that is kept. It belongs to what it was made for, wherever the window goes: it is
 * saved while one types, and when one leaves in whatever way. Only what was changed is sent, and never over what
 * somebody else wrote meanwhile. Make it while a component is made.
 */
export class Edit<T> {
  readonly #of: EditOf<T>;
  /** Null while the field shows what is kept. */
  #typed = $state<string | null>(null);
  /** What was kept when it was typed over. */
  #before: T;
  #hasFocus = false;
  #isGone = false;
  #isSending = false;
  #isDue = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  error = $state.raw<AppError | null>(null);
  /** It was edited here, and is kept as it stands. */
  isSaved = $state(false);

  constructor(of: EditOf<T>) {
    this.#of = of;
    this.#before = untrack(of.kept);
    open.add(this as Edit<unknown>);
    this.takeUp();
    $effect(() => this.#follow());
    const endWatch = onConnection((state) => {
      if (state === 'connected' && this.error?.kind === 'no-connection') this.flush();
    });
    onDestroy(() => {
      endWatch();
      this.#isGone = true;
      this.#hasFocus = false;
      this.flush();
      if (!this.#isSending) this.#end();
    });
  }

  get key(): string {
    return this.#of.key;
  }

  /** What could not be saved, and over what it was typed; null where there is nothing. */
  get left(): Left | null {
    return this.error !== null && this.isUnsaved ? { text: this.#typed!, before: this.#before } : null;
  }

  /** Goes on with what was left unsaved before. */
  takeUp = (): void => {
    const left = unsaved.get(this.key) as { text: string; before: T } | undefined;
    if (!left || this.#typed !== null) return;
    unsaved.delete(this.key);
    [this.#typed, this.#before] = [left.text, left.before];
    this.#timer = setTimeout(this.flush); // it may be possible by now
  };

  /** What the field shows. */
  get text(): string {
    return this.#typed ?? this.#of.write(this.#of.kept());
  }

  get isUnsaved(): boolean {
    return this.#typed !== null && !isSame(this.#of.read(this.#typed), this.#before);
  }

  type = (text: string): void => {
    if (this.#typed === null) this.#before = this.#of.kept();
    this.#typed = text;
    this.isSaved = false;
    clearTimeout(this.#timer);
    // What somebody else wrote is decided on first.
    if (this.error?.kind !== 'changed') this.#timer = setTimeout(this.flush, SETTLE_MS);
  };

  focus = (): void => {
    this.#hasFocus = true;
  };

  blur = (): void => {
    this.#hasFocus = false;
    this.flush();
    this.#settle();
  };

  /** Sends what was typed, where it is not kept yet. */
  flush = (): void => {
    clearTimeout(this.#timer);
    this.#isDue = true;
    if (!this.#isSending && this.error?.kind !== 'changed') void this.#send();
  };

  /** What was typed here counts, over what was written elsewhere. */
  keepMine = (): void => {
    this.#before = this.#of.kept();
    this.error = null;
    this.flush();
  };

  takeTheirs = (): void => {
    this.#typed = null;
    this.error = null;
  };

  async #send() {
    this.#isSending = true;
    try {
      while (this.#isDue && this.isUnsaved) {
        this.#isDue = false;
        const value = this.#of.read(this.#typed!);
        const flaw = this.#of.flaw?.(value);
        if (flaw) throw Object.assign(new Error(flaw), { kind: 'bad-input' });
        await this.#of.save(value, this.#before);
        this.#before = value;
        this.isSaved = true;
        this.error = null;
      }
      if (!this.isUnsaved) this.error = null;
    } catch (thrown) {
      this.error = thrown as AppError;
    }
    this.#isSending = false;
    this.#settle();
    if (this.#isGone) this.#end();
  }

  /** A field that is left shows what is kept, or what is in the way of that. */
  #settle() {
    if (this.#hasFocus || this.#isSending) return;
    if (this.error && this.error.kind !== 'changed' && this.#of.goesBack && this.error.kind !== 'no-connection') {
      sayError(this.error);
      this.error = null;
      this.#typed = null;
    } else if (!this.isUnsaved) {
      this.#typed = null;
    }
  }

  /** Another window has written: a field that is not edited shows it. */
  #follow() {
    const kept = this.#of.kept();
    untrack(() => {
      if (this.#typed === null || this.#isSending || isSame(kept, this.#before)) return;
      if (!this.isUnsaved) this.#typed = null;
      else if (isSame(this.#of.read(this.#typed), kept)) this.#before = kept;
    });
  }

  /** Its component has gone: what could not be saved waits until it is opened again, and is said. */
  #end() {
    open.delete(this as Edit<unknown>);
    if (!this.isUnsaved) return;
    unsaved.set(this.#of.key, { text: this.#typed!, before: this.#before });
    const { what, path } = this.#of.words();
    const report = this.error?.toJSON?.() ?? { kind: 'internal', what: this.error?.message ?? '', why: '', next: '' };
    sayError(
      { ...report, what: `${what} is not saved.`, why: [report.what, report.why].filter(Boolean).join(' ') },
      { label: 'Show it', run: () => go(path) },
    );
  }
}

/** Values are texts, or lists of them. */
const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

function flushAll() {
  for (const edit of open) edit.flush();
}
/** The data that this window shows: what was typed over them is no other's, even under the same address. */
let kept: string | null = null;
void call('app.info', {}).then(
  ({ host, home }) => {
    kept = `conmim-unsaved ${host} ${home}`;
    try {
      for (const [key, left] of JSON.parse(sessionStorage.getItem(kept) ?? '[]') as [string, Left][])
        if (!unsaved.has(key)) unsaved.set(key, left);
      sessionStorage.removeItem(kept);
    } catch {
      // A browser that keeps nothing.
    }
    for (const edit of open) edit.takeUp();
  },
  () => {},
);
/** What could not be saved outlives a reload of this window. */
function keepUnsaved() {
  const left = [...unsaved, ...[...open].flatMap((edit) => (edit.left ? [[edit.key, edit.left] as const] : []))];
  if (kept === null || left.length === 0) return;
  try {
    sessionStorage.setItem(kept, JSON.stringify(left));
  } catch {
    // A browser that keeps nothing has asked before.
  }
}
let isBeginningAnew = false;
/** Loads the window again; what could not be saved is taken up there, where the data are the same. */
export function beginAnew(): void {
  isBeginningAnew = true;
  location.reload();
}
/** What is typed is on its way before the page goes; what cannot be saved is asked about. */
window.addEventListener('beforeunload', (event) => {
  flushAll();
  if (window.conmim || isBeginningAnew) return; // a desktop window asks nothing: it would just not close
  if (unsaved.size > 0 || [...open].some((edit) => edit.left !== null)) event.preventDefault();
});
window.addEventListener('pagehide', () => {
  flushAll();
  keepUnsaved();
});
document.addEventListener('visibilitychange', () => document.visibilityState === 'hidden' && flushAll());
