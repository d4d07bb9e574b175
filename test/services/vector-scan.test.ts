import { expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { paddedWidth, Scanner } from '../../electron/services/retrieval/scan.ts';

test.each([1, 16, 17, 384, 8192])('the SIMD scan gives the dot products of whole numbers, width %i', async (width) => {
  const scanner = await Scanner.make(width);
  const random = stream(3, width, 0, 'scan');
  const query = Float32Array.from({ length: width }, (_, i) => (i === 0 ? 2047 : random.int(4095) - 2047)); // a unit is 1
  scanner.setQuery(query);
  expect(scanner.unit).toBe(1);
  const n = Math.min(5, scanner.rows);
  const codes = new Int8Array(n * paddedWidth(width));
  for (let row = 0; row < n; row++)
    for (let i = 0; i < width; i++) codes[row * paddedWidth(width) + i] = row === 0 ? -128 : random.int(256) - 128;
  scanner.room(n).set(new Uint8Array(codes.buffer));
  const exact = Array.from({ length: n }, (_, row) =>
    query.reduce((sum, value, i) => sum + value * codes[row * paddedWidth(width) + i]!, 0),
  );
  expect([...scanner.dots(n)]).toEqual(exact);
  // The largest sum that there can be: every product at its end.
  scanner.setQuery(new Float32Array(width).fill(-2047));
  scanner.room(1).fill(0);
  scanner.room(1).set(new Uint8Array(new Int8Array(width).fill(-128).buffer));
  expect(scanner.dots(1)[0]).toBe(width * 2047 * 128);
});
