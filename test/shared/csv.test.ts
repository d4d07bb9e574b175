import fc from 'fast-check';
import { expect, test } from 'vitest';
import { csv, csvLine } from '../../shared/csv.ts';

test('no text in a table for people begins a formula; figures stay, and programs get names to the letter', () => {
  const cells = ['=1+2', '+x', '-rf', '@SUM(A1)', '\t=1', '\r=1', "=cmd|'/c calc'!A0"];
  for (const cell of cells) {
    expect(
      csv(['run'], [[cell]])
        .split('\r\n')
        .slice(1)
        .join('\r\n')
        .replace(/^"/, ''),
    ).toMatch(/^'/);
    expect(csvLine([cell]).replace(/^"/, '').startsWith(cell[0]!)).toBe(true);
  }
  for (const figure of [-1.5, 0, '-1.5', '+3', '-1e-7', null, 'plain', 'a=b']) {
    const line = csv(['n'], [[figure]]).split('\r\n')[1];
    expect(line).toBe(figure === null ? '' : String(figure));
  }
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), (row) => {
      for (const cell of row) expect(csv(['a'], [[cell]]).slice(3, -2)).not.toMatch(/^"?[=+\-@\t\r](?![\d.])/);
    }),
  );
});
