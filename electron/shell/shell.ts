import type { Answer, AppInfo, Channel, Numbered } from '../../shared/contract/index.ts';

/** What is at an address below `media/`. */
export interface Media {
  status: number;
  type: string;
  body: Uint8Array;
  /** What it shows, by its content; null where the next answer may be another. */
  tag: string | null;
  /** Whether the address can never show anything else. */
  isFinal: boolean;
}

/** What a shell shows its windows: the program, behind it. */
export interface Program {
  /** Answers a call from a window; never rejects. `input` is whatever came, not validated yet. */
  call(channel: string, input: unknown): Promise<Answer>;
  /** Events after number `seq`; a `resync` alone where they are no longer known. */
  since(seq: number): Numbered[];
  /** Tells of every event from now on. @returns ends it */
  listen(listener: (event: Numbered) => void): () => void;
  /** `path` is what follows `media/`. */
  media(path: string): Promise<Media>;
  /** The file that a task has written, to be handed to a browser; null where there is none. */
  made(task: string): string | null;
}

/** A kind of window: `browser.ts` serves over loopback, `electron.ts` is the desktop. Services know neither. */
export interface Shell {
  readonly kind: AppInfo['shell'];
  /** The system's dialog; undefined where there is none, and the window lists folders itself. */
  pickFolder?: () => Promise<string | null>;
  /** Shows a file in the file manager. @returns whether that is possible here */
  reveal(path: string): boolean;
}

export type { Answer, Channel, Numbered };
