/**
 * Charts are drawn one a frame: nine that redraw together would keep the window from answering for a moment.
 */
const waiting = new Map<object, () => void>();
let isDue = false;

/** Draws soon; what the same chart asked before and was not drawn yet is left out. */
export function drawSoon(chart: object, draw: () => void): void {
  waiting.set(chart, draw);
  if (!isDue) {
    isDue = true;
    requestAnimationFrame(drawNext);
  }
}

/** A chart that goes needs no drawing. */
export function drawNever(chart: object): void {
  waiting.delete(chart);
}

function drawNext() {
  const [first] = waiting;
  if (first) {
    waiting.delete(first[0]);
    first[1]();
  }
  isDue = waiting.size > 0;
  if (isDue) requestAnimationFrame(drawNext);
}
