/**
 * Charts are drawn one a frame: nine that redraw together would keep the window from answering for a moment.
 */
interface Waiting {
  draw: () => void;
  onFault: (thrown: unknown) => void;
}
const waiting = new Map<object, Waiting>();
let isDue = false;

/**
 * Draws soon; what the same chart asked before and was not drawn yet is left out.
 * @param onFault is told what a drawing throws: the other charts are drawn all the same
 */
export function drawSoon(chart: object, draw: () => void, onFault: (thrown: unknown) => void = reportError): void {
  waiting.set(chart, { draw, onFault });
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
    const [chart, { draw, onFault }] = first;
    waiting.delete(chart);
    try {
      draw();
    } catch (thrown) {
      onFault(thrown);
    }
  }
  isDue = waiting.size > 0;
  if (isDue) requestAnimationFrame(drawNext);
}
