import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeJpegs } from '../bench/loader.ts';
import { importDataset } from '../services/datasets/datasets.ts';
import { databaseIn } from '../store/home.ts';
import { Store } from '../store/store.ts';
import { withAbort } from './context.ts';
import type { Output } from './output.ts';

/** Made-up photographs of the dataset. */
export const IMAGES = 64;
const NAME = 'made-up';

/** Runs a measurement on made-up photographs in a home of its own, which is removed; Ctrl-C aborts its signal. */
export async function withMadeUpDataset<T>(
  out: Output,
  act: (home: string, dataset: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return withAbort(async (signal) => {
    const home = await mkdtemp(join(tmpdir(), 'conmim-bench-'));
    try {
      out.progress('making photographs');
      const folder = join(home, 'photographs');
      await makeJpegs(folder, IMAGES);
      const store = Store.open(databaseIn(home));
      try {
        await importDataset(store, { folders: [folder], name: NAME, signal });
      } finally {
        store.close();
      }
      return await act(home, NAME, signal);
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  });
}
