import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { DEFAULT_PRESET } from '../../shared/presets.ts';
import { makeJpegs } from '../services/bench-loader.ts';
import { benchStart, type StartBench } from '../services/bench-start.ts';
import { importDataset } from '../services/datasets.ts';
import { deleteRun } from '../services/runs.ts';
import { databaseIn } from '../store/home.ts';
import { Store } from '../store/store.ts';
import { homeFolder, withOutput } from './context.ts';
import { wholeNumber } from './output.ts';
import { table } from './words.ts';

const IMAGES = 64;

/** bench start, beside the other benchmarks. */
export function addStartBench(bench: Command): void {
  bench
    .command('start')
    .description('time from `conmim pretrain` to the first step, part by part')
    .option('--dataset <name>', `start on this dataset, in place of ${IMAGES} made-up photographs; runs are removed`)
    .option('--preset <name>', 'recipe that is started', DEFAULT_PRESET)
    .option('--starts <n>', 'so many', wholeNumber('--starts', 1), 5)
    .option('--json', 'print one JSON document on standard output and nothing else')
    .option('--home <folder>', 'where the dataset is')
    .action(
      withOutput(async (out, command, options) => {
        const own = options.dataset as string | undefined;
        const made = own === undefined ? await mkdtemp(join(tmpdir(), 'conmim-bench-')) : null;
        const home = made ?? homeFolder(command);
        const controller = new AbortController();
        const abort = () => controller.abort();
        process.once('SIGINT', abort);
        const names: string[] = [];
        try {
          if (made !== null) out.progress('making photographs');
          if (made !== null) await madeUpDataset(made);
          const result = await benchStart({
            ...{ home, dataset: own ?? MADE_UP, preset: options.preset as string, starts: options.starts as number },
            signal: controller.signal,
            nameOf: (start) => {
              const name = `bench start ${process.pid} ${start}`;
              names.push(name);
              return name;
            },
            onProgress: (start, total) => out.progress(`start ${start} of ${total}`),
          });
          out.result(result, words(result));
        } finally {
          process.removeListener('SIGINT', abort);
          if (made !== null) await rm(made, { recursive: true, force: true });
          else removeRuns(home, names);
        }
      }),
    );
}

const MADE_UP = 'made-up';

async function madeUpDataset(home: string): Promise<void> {
  const folder = join(home, 'photographs');
  await makeJpegs(folder, IMAGES);
  const store = Store.open(databaseIn(home));
  try {
    await importDataset(store, { folders: [folder], name: MADE_UP });
  } finally {
    store.close();
  }
}

function removeRuns(home: string, names: readonly string[]): void {
  const store = Store.open(databaseIn(home));
  try {
    for (const { id, name } of store.runs.list()) if (names.includes(name)) deleteRun(store, id);
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
