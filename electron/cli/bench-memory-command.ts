import type { Command } from 'commander';
import { DEFAULT_PRESET } from '../../methods/index.ts';
import { bytes } from '../../shared/words.ts';
import { benchMemory, type MemoryBench } from '../bench/memory.ts';
import { buildConfig } from '../services/recipes/configuration.ts';
import { databaseIn } from '../store/home.ts';
import { Store } from '../store/store.ts';
import { withMadeUpDataset } from './bench-dataset.ts';
import { withOutput } from './context.ts';
import { collect, wholeNumber } from './output.ts';
import { table } from './table.ts';

/** bench memory, beside the other benchmarks. */
export function addMemoryBench(bench: Command): void {
  bench
    .command('memory')
    .description('tensors and memory of a whole run, step after step, on made-up photographs')
    .option('--preset <name>', 'recipe that is run', DEFAULT_PRESET)
    .option('--set <key=value>', 'change a setting; may be given again', collect, [])
    .option('--steps <n>', 'training steps', wholeNumber('--steps', 4), 2000)
    .option('--every <n>', 'steps between two measurements', wholeNumber('--every', 1), 50)
    .option('--json', 'print one JSON document on standard output and nothing else')
    .option('--home <folder>', 'not needed here')
    .action(
      withOutput(async (out, _command, options) => {
        const steps = options.steps as number;
        const settings = [...(options.set as string[]), `train.steps=${steps}`];
        const { config } = buildConfig(options.preset as string, settings);
        const result = await withMadeUpDataset(out, async (home, dataset, signal) => {
          const store = Store.open(databaseIn(home));
          try {
            return await benchMemory(store, {
              dataset,
              config,
              every: options.every as number,
              signal,
              onProgress: (done, total) => out.progress(`step ${done} of ${total}`),
            });
          } finally {
            store.close();
          }
        });
        out.result(result, words(result));
      }),
    );
}

function words({ backend, steps, samples, growth }: MemoryBench): string {
  const rows = samples.map((s) => [
    s.step,
    s.tensors,
    s.arrays,
    ...[s.tensor_bytes, s.heap, s.buffers, s.resident].map((size) => bytes(size)),
  ]);
  const signed = (n: number) => `${n < 0 ? '-' : '+'}${bytes(Math.abs(n))}`;
  return [
    table(['step', 'tensors', 'arrays', 'of bytes', 'heap', 'buffers', 'resident'], rows),
    '',
    `${steps} steps with ${backend}; in the last ${growth.steps}: ${growth.tensors} tensors more, ${growth.arrays} ` +
      `arrays more, heap ${signed(growth.heap)}, resident ${signed(growth.resident)}.`,
  ].join('\n');
}
