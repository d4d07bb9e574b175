import { join } from 'node:path';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { Store } from '../../electron/store/store.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { methodOf, parseRunConfig } from '../../methods/index.ts';
import { makeImages } from './harness.ts';

export const [IMAGES, GRID, DEPTH, HEADS] = [24, 4, 2, 2];
/** Of a dataset with one image. */
export const LONG = 'a name that is far longer than the place where it stands, as names of photographs can be';

/** What the database of a home says, asked beside the program. */
export function stored<T>(home: string, ask: (store: Store) => T): T {
  const store = Store.open(join(home, 'workbench.sqlite'));
  try {
    return ask(store);
  } finally {
    store.close();
  }
}

/** Two datasets, and a run with a checkpoint that nothing was trained for: dataset 1 is its own. @returns the checkpoint */
export const makeLearnedRun = (home: string): Promise<number> =>
  makeLearnedRunOf(home, {
    model: { ...MODEL, num_heads: HEADS },
    projector: { hidden: 16, out: 8 },
  });

export const MODEL = { image_size: 8 * GRID, patch_size: 8, embed_dim: 32, depth: DEPTH };

/** The same of an autoencoder, which has no teacher and no projector. */
export const makeLearnedMae = (home: string): Promise<number> =>
  makeLearnedRunOf(home, {
    method: { name: 'mae' },
    model: { ...MODEL, num_heads: HEADS },
    decoder: { embed_dim: 16, depth: 1, num_heads: 2 },
  });

/** The same of any settings. */
export async function makeLearnedRunOf(home: string, settings: object): Promise<number> {
  const [folder, alone] = [join(home, 'pictures'), join(home, LONG)];
  await makeImages(folder, IMAGES);
  await makeImages(alone, 1);
  const config = parseRunConfig(settings);
  // Weights of other seeds than the run's: no network is its untrained one.
  const weights = (seed: number) => untrainedState({ ...config, train: { ...config.train, seed } });
  const store = Store.open(join(home, 'workbench.sqlite'));
  try {
    await importDataset(store, { name: 'pictures', folders: [folder], labels: 'folders' });
    await importDataset(store, { name: LONG, folders: [alone], labels: 'none' });
    const run = store.runs.create({ dataset_id: 1, preset: null, config, total_steps: 9, steps_per_epoch: 1 });
    store.runs.update(run.id, { status: 'finished', step: 9 });
    const checkpoint = { step: 9, epoch: 1, loss: null, config, state: {} };
    return store.checkpoints.save(run.id, checkpoint, {
      student: weights(77),
      ...(methodOf(config).hasTeacher && { teacher: weights(78) }),
    }).id;
  } finally {
    store.close();
  }
}
