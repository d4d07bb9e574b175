import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { patchesOf } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import { bytes, percent } from '../../shared/words.ts';
import { benchIndex, benchMadeUp, type RetrievalBench } from '../bench/retrieval.ts';
import { loadBackend } from '../runtime/backend.ts';
import { indexFolder } from '../services/retrieval/folders.ts';
import type { Store } from '../store/store.ts';
import { withStore } from './context.ts';
import { wholeNumber } from './output.ts';
import { table } from './table.ts';

/** bench retrieval, beside the other benchmarks. */
export function addRetrievalBench(bench: Command): void {
  bench
    .command('retrieval')
    .description('recall, speed and memory of a patch index: of made-up features, or of an index that is there')
    .option('--rows <n>', 'number of made-up features', wholeNumber('--rows', 100), 2_000_000)
    .option('--width <n>', 'values of each', wholeNumber('--width', 2), 384)
    .option('--index <n>', 'measure this index instead', wholeNumber('--index', 1))
    .option('--queries <n>', 'number of queries', wholeNumber('--queries', 20), 200)
    .option('--json', 'print one JSON document on standard output and nothing else')
    .option('--home <folder>', 'where everything is kept')
    .action(
      withStore(async ({ out, store, signal }, options) => {
        await loadBackend();
        const home = dirname(store.path);
        const common = {
          queries: options.queries as number,
          signal,
          onProgress: (done: number, total: number, phase: string) => out.progress(`${phase}: ${done} of ${total}`),
        };
        const result =
          options.index === undefined
            ? await benchMadeUp(join(home, 'bench-index'), {
                ...common,
                rows: options.rows as number,
                width: options.width as number,
              })
            : await benchExisting(store, options.index as number, common);
        out.result(result, benchWords(result));
      }),
    );
}

async function benchExisting(
  store: Store,
  id: number,
  common: { queries: number; signal: AbortSignal },
): Promise<RetrievalBench> {
  const index = store.retrieval.get(id);
  if (!index.is_ready) throw new AppError('conflict', `Index ${id} is not finished.`, '', 'Build it first.');
  const { config } = store.checkpoints.get(index.checkpoint_id);
  const width = index.feature === 'projector' ? config.projector!.out : config.model.embed_dim;
  const dataset = store.datasets.get(index.dataset_id).name;
  const data = `${index.feature} of ${index.part}, ${index.images} images of ${dataset}`;
  const folder = indexFolder(store, id);
  return benchIndex(folder, { ...common, width, group: patchesOf(config.model), data });
}

function benchWords(b: RetrievalBench): string {
  return table(
    ['', ''],
    [
      ['patches', `${b.rows} of width ${b.width} (${b.data})`],
      ['lists', `${b.lists}, ${percent(b.share)} of the patches looked at`],
      ['built in', b.build_s === null ? 'before' : `${b.build_s.toFixed(0)} s`],
      ['on disk', `${bytes(b.disk_bytes)}, ${b.is_mapped ? 'codes memory-mapped' : 'codes read'}`],
      ['opened in', `${b.open_ms.toFixed(0)} ms`],
      ['recall@10 by score', `${percent(b.recall_at_10)}, ${b.queries} queries`],
      ['one query', `p50 ${b.p50_ms.toFixed(1)} ms, p95 ${b.p95_ms.toFixed(1)} ms`],
      ['resident', `${bytes(b.resident_opened)} opened, ${bytes(b.resident_peak)} at most`],
    ],
  );
}
