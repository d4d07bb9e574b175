import type { DATASETS, DatasetRow } from '../../../shared/contract/datasets.ts';
import type { Dataset } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import { folderTrouble } from '../../services/datasets/datasets.ts';
import { datasetDeletion, preparedDeletion } from '../../services/datasets/deletion.ts';
import { planPrepare } from '../../services/datasets/prepare.ts';
import {
  startImport,
  startLocating,
  startPreparing,
  startRescan,
  startSampleImport,
} from '../../services/datasets/tasks.ts';
import { labelNotices } from '../../services/runs/fine-tune.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Context, HandlersOf } from '../context.ts';

export function datasetHandlers(context: Context): HandlersOf<typeof DATASETS> {
  const { shell, store, events, deletions, outside } = context;
  const changed = () => events.emit({ type: 'datasets' });
  const row = async (dataset: Dataset): Promise<DatasetRow> => {
    const { bytes, vanished, classes } = store.images.facts(dataset.id);
    return {
      ...dataset,
      classes,
      bytes,
      vanished_count: vanished,
      runs: store.datasets.runs(dataset.id).length,
      ...(await folderTrouble(outside, dataset)),
    };
  };
  return {
    'datasets.list': () =>
      Promise.all(
        store.datasets
          .list()
          .filter(({ id }) => !deletions.isHidden('dataset', id))
          .map(row),
      ),
    'datasets.get': async ({ id }) => {
      const dataset = store.datasets.get(id);
      if (deletions.isHidden('dataset', id))
        throw new AppError(
          'not-found',
          `Dataset "${dataset.name}" is deleted.`,
          '',
          'For half a minute it can be undone.',
        );
      const { width, height, formats } = store.images.facts(id);
      return {
        ...(await row(dataset)),
        labels_count: store.images.labels(id),
        skipped: store.images.skipSummary(id),
        notices: labelNotices(store, dataset),
        notes: store.images.notes(id),
        width,
        height,
        formats,
      };
    },
    'datasets.import': (input) => startImport(context, input),
    'datasets.import-sample': () => startSampleImport(context),
    'datasets.locate': (input) => startLocating(context, input),
    'datasets.rescan': ({ id }) => startRescan(context, store.datasets.get(id)),
    'datasets.rename': ({ id, name, before }) => {
      const dataset = store.datasets.rename(id, name, before);
      changed();
      return dataset;
    },
    'datasets.delete': ({ id }) => deletions.add(datasetDeletion(context, id)),
    'prepared.plan': (input) => planPrepare(store, input),
    'prepared.start': (input) => startPreparing(context, input),
    'prepared.delete': ({ id }) => deletions.add(preparedDeletion(context, id)),
    'images.page': ({ dataset, ...query }) => store.images.page(store.datasets.get(dataset).id, query),
    'images.get': ({ id }) => {
      const image = store.images.get(id);
      const { folders } = store.datasets.get(image.dataset_id);
      return { ...image, file: fileOf({ folders }, image), same: store.images.sameAs(image) };
    },
    'images.reveal': async ({ id }) => {
      const image = store.images.get(id);
      const dataset = store.datasets.get(image.dataset_id);
      const path = fileOf(dataset, image);
      const { kind } = await outside.look(path, dataset.folders[image.folder]!);
      return { path, shown: kind !== 'none' && shell.reveal(path) };
    },
  };
}
