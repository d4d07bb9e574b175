import type { Command } from 'commander';
import { DEFAULT_PRESET } from '../../methods/index.ts';
import { benchStart, type StartBench } from '../bench/start.ts';
import { deleteRun } from '../services/runs/runs.ts';
import { databaseIn } from '../store/home.ts';
import { Store } from '../store/store.ts';
import { IMAGES, withMadeUpDataset } from './bench-dataset.ts';
import { homeFolder, withAbort, withOutput } from './context.ts';
import { wholeNumber } from './output.ts';
import { table } from './table.ts';

/** bench start, beside the other benchmarks. */
export function addStartBench(bench: Command): void {
  bench
    .command('start')
    .description('time from `conmim pretrain` to the first step, part by part')
    .option('--dataset <name>', `start on this dataset, in place of ${IMAGES} made-up photographs; runs are removed`)
    .option('--preset <name>', 'recipe that is started', DEFAULT_PRESET)
    .option('--starts <n>', 'starts that are timed', wholeNumber('--starts', 1), 5)
    .option('--json', 'print one JSON document on standard output and nothing else')
    .option('--home <folder>', 'where the dataset is')
    .action(
      withOutput(async (out, command, options) => {
        const own = options.dataset as string | undefined;
        const measure = (home: string, dataset: string, signal: AbortSignal) =>
          benchStart({
            home,
            dataset,
            preset: options.preset as string,
            starts: options.starts as number,
            signal,
            nameOf,
            onProgress: (start, total) => out.progress(`start ${start} of ${total}`),
          });
        const result =
          own === undefined
            ? await withMadeUpDataset(out, measure)
            : await withAbort(async (signal) => {
                const home = homeFolder(command);
                try {
                  return await measure(home, own, signal);
                } finally {
                  removeRuns(home, options.starts as number);
                }
              });
        out.result(result, words(result));
      }),
    );
}

/** Names a run of this measurement, so that it can be removed. */
const nameOf = (start: number) => `bench start ${process.pid} ${start}`;

function removeRuns(home: string, starts: number): void {
  const names = new Set(Array.from({ length: starts }, (_, i) => nameOf(i + 1)));
  const store = Store.open(databaseIn(home));
  try {
    for (const { id, name } of store.runs.list()) if (names.has(name)) deleteRun(store, id);
  } finally {
    store.close();
  }
}

function words(result: StartBench): string {
  const s = (seconds: number) => `${seconds.toFixed(2)} s`;
  return [
    `${result.command}`,
    `first step after ${s(result.median_s)} (median of ${result.starts}; ${s(result.least_s)} to ${s(result.most_s)})`,
    '',
    table(
      ['part', 'begins after', 'takes'],
      result.parts.map(({ part, from_s, takes_s }) => [part, s(from_s), s(takes_s)]),
    ),
  ].join('\n');
}
