import type { BakeOffSummary } from '../../../shared/bakeoff.ts';
import { csv } from '../../../shared/csv.ts';

/** Every figure of a bake-off as CSV: a line for each row and column of its table, with the value of every seed. */
export function bakeOffCsv({ rows, columns, asked }: Pick<BakeOffSummary, 'rows' | 'columns' | 'asked'>): string {
  const seeds = Array.from({ length: asked.seeds }, (_, seed) => seed);
  const header = [
    ...['row', 'kind', 'figure', 'key', 'n', 'mean', 'sd', 'low', 'high'],
    ...seeds.map((s) => `seed ${s}`),
  ];
  const lines = rows.flatMap((row) =>
    columns.flatMap(({ key, title }) => {
      const cell = row.cells[key];
      if (!cell) return [];
      const { n, mean, sd, interval } = cell.spread;
      const of = (seed: number) => cell.values.find((one) => one.seed === seed)?.value;
      return [[row.title, row.kind, title, key, n, mean, sd, interval?.[0], interval?.[1], ...seeds.map(of)]];
    }),
  );
  return csv(header, lines);
}
