const PARTS = /(\d+(?:\.\d+)?(?:e[-+]?\d+)?)/i;
const collator = new Intl.Collator('en');

/**
 * The order of names as people read them: numbers in them by their value, so that `temp 0.05` comes before `temp 0.2`, and
 * `run 9` before `run 10`.
 */
export function naturalOrder(a: string, b: string): number {
  const [left, right] = [a.split(PARTS), b.split(PARTS)];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [x, y] = [left[i]!, right[i]!];
    // Every second part is a number.
    const order = i % 2 === 1 ? Math.sign(Number(x) - Number(y)) || 0 : collator.compare(x, y);
    if (order !== 0) return order;
  }
  return left.length - right.length || collator.compare(a, b);
}
