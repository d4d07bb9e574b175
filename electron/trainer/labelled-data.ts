import { FINE_TUNING } from '../../methods/index.ts';
import { AppError } from '../../shared/errors.ts';
import type { FineTune } from '../../shared/finetune.ts';
import { parseRandAugment } from '../../shared/rand-augment.ts';
import type { Run } from '../../shared/run.ts';
import type { Store } from '../store/store.ts';
import { type LabelledSplit, splitLabelled } from './labelled.ts';
import { RunData } from './run-data.ts';

/** What a fine-tuning trains on, and is tested on. */
export class LabelledData extends RunData {
  readonly split: LabelledSplit;

  /** @throws AppError bad-input where the dataset has other classes than the run was made for */
  constructor(store: Store, run: Run, tune: FineTune) {
    const { lone } = tune;
    const { aa, views: colours } = FINE_TUNING.labelling(tune.settings);
    if (tune.test_dataset_id !== null) requireTestDataset(store, tune.test_dataset_id);
    const split = splitLabelled(store, run.dataset_id!, tune.test_dataset_id, lone === null ? 'rank' : { lone });
    if (split.classes.join('\0') !== tune.classes.join('\0')) {
      const why = `It was made for ${tune.classes.length} classes, and now there are ${split.classes.length} or they have other names.`;
      throw new AppError('bad-input', 'The classes of the dataset have changed.', why, 'Start a new fine-tuning.');
    }
    const images = split.train.map(({ id, file, hash }) => ({ id, path: file, hash }));
    const randAugment = parseRandAugment(aa);
    const view = { name: 'student', title: 'image', side: run.config.model.image_size, geometry: 'geometry' };
    const views = [{ ...view, colours, isMasked: false }];
    super(store, run, images, store.datasets.get(run.dataset_id!).folders, { views, mask: null, randAugment });
    this.split = split;
  }
}

function requireTestDataset(store: Store, id: number): void {
  if (store.datasets.names().has(id)) return;
  const why = 'Their dataset was deleted after this fine-tuning was made.';
  throw new AppError('not-found', 'The test images of this fine-tuning are gone.', why, 'Start a new fine-tuning.');
}
