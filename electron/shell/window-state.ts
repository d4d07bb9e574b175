import { readFileSync } from 'node:fs';
import { writeWhole } from '../files/files.ts';

export interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}
export interface WindowState {
  /** Null: where the system puts it. */
  bounds: Rectangle | null;
  isMaximized: boolean;
}

export const FIRST_SIZE = { width: 1280, height: 860 };
export const LEAST_SIZE = { width: 900, height: 620 };
/** So much of a window must be seen, px, or it could not be found again. */
const SEEN = 80;

/** The state that was kept, made to fit the displays that are there now; a file that cannot be read counts as none. */
export function readWindowState(file: string, displays: readonly Rectangle[]): WindowState {
  try {
    const { bounds, isMaximized } = JSON.parse(readFileSync(file, 'utf8')) as WindowState;
    const isWhole = bounds !== null && [bounds.x, bounds.y, bounds.width, bounds.height].every(Number.isFinite);
    return { bounds: isWhole ? fit(bounds, displays) : null, isMaximized: isMaximized === true };
  } catch {
    return { bounds: null, isMaximized: false };
  }
}

function fit(bounds: Rectangle, displays: readonly Rectangle[]): Rectangle | null {
  const home = displays.find(
    (display) =>
      Math.min(bounds.x + bounds.width, display.x + display.width) - Math.max(bounds.x, display.x) >= SEEN &&
      bounds.y >= display.y &&
      bounds.y + SEEN <= display.y + display.height,
  );
  if (!home) return null; // its display is gone
  return {
    x: Math.round(bounds.x),
    y: Math.round(bounds.y),
    width: Math.round(Math.max(LEAST_SIZE.width, Math.min(bounds.width, home.width))),
    height: Math.round(Math.max(LEAST_SIZE.height, Math.min(bounds.height, home.height))),
  };
}

export const writeWindowState = (file: string, state: WindowState): void =>
  writeWhole(file, [Buffer.from(JSON.stringify(state))]);
