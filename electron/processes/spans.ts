import { appendFileSync } from 'node:fs';

/** Names the file that parts of a start are written to; `conmim bench start` sets it. */
export const SPANS = 'CONMIM_SPANS';

/** A part of a start: what it is called, and when it began and ended, ms since 1970. Parts may overlap. */
export interface Span {
  part: string;
  from: number;
  to: number;
}

const now = () => performance.timeOrigin + performance.now();

/** Begins a part of a start. @returns ends it; does nothing where nobody measures */
export function span(part: string, from = now()): () => void {
  const file = process.env[SPANS];
  if (file === undefined) return () => {};
  return () => appendFileSync(file, `${JSON.stringify({ part, from, to: now() } satisfies Span)}\n`);
}

/** The part from the beginning of this process until now. */
export const sinceStart = (part: string): void => span(part, performance.timeOrigin)();
