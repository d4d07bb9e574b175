import type { DATASETS, DatasetRow } from '../../../shared/contract/datasets.ts';
import type { TaskRef } from '../../../shared/contract/tasks.ts';
import type { Dataset } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import { typedPath } from '../../files/typed-path.ts';
import { folderTrouble, locateFolder } from '../../services/datasets/datasets.ts';
import { datasetDeletion, preparedDeletion } from '../../services/datasets/deletion.ts';
import { planPrepare } from '../../services/datasets/prepare.ts';
import { SAMPLES } from '../../services/datasets/samples.ts';
import { runJob } from '../../services/ground/jobs.ts';
import type { TaskControl } from '../../services/ground/tasks.ts';
import { labelNotices } from '../../services/runs/fine-tune.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Context, HandlersOf } from '../context.ts';
import { requireAnswering } from './answering.ts';

export function datasetHandlers(context: Context): HandlersOf<typeof DATASETS> {
  const { shell, store, events, tasks, deletions, outside } = context;
  const preparedChanged = () => events.emit({ type: 'prepared' });
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
  /** A task whose result is what was found, and the dataset's id. */
  const scan = (kind: 'import' | 'rescan', title: string, work: (control: TaskControl) => Promise<unknown>): TaskRef =>
    tasks.start(kind, title, async (control) => {
      try {
        return await work(control);
      } finally {
        changed();
      }
    });
  const look = (dataset: Dataset): TaskRef =>
    scan('rescan', `Looking again at ${dataset.name}`, async ({ signal, progress }) => {
      await requireAnswering(context, dataset.id);
      const job = { database: store.path, dataset: dataset.id };
      return { ...(await runJob('rescan', job, { signal, onProgress: progress })), dataset: dataset.id };
    });
  const runImport = async (
    { signal, progress }: TaskControl,
    options: { name: string; folders: string[]; labels?: 'none' | 'folders' | undefined },
  ) => {
    await Promise.all(options.folders.map((folder) => outside.look(typedPath(folder, 'the folder'))));
    const job = { database: store.path, options };
    const summary = await runJob('import', job, { signal, onProgress: progress });
    return { ...summary, dataset: summary.dataset.id };
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
    'datasets.import': ({ folders, ...input }) =>
      scan('import', `Importing ${input.name}`, (control) =>
        runImport(control, { ...input, folders: folders.map((folder) => typedPath(folder, 'a folder of images')) }),
      ),
    'datasets.import-sample': () =>
      scan('import', 'Importing the sample images', async (control) => {
        const found = [];
        for (const { name, folder, labels } of SAMPLES)
          found.push(await runImport(control, { name, folders: [folder], labels }));
        return found[0];
      }),
    'datasets.locate': async ({ id, from, to }) => {
      await outside.look(typedPath(to, 'a folder of images'));
      const dataset = locateFolder(store, store.datasets.get(id), from, to);
      changed();
      return look(dataset);
    },
    'datasets.rescan': ({ id }) => look(store.datasets.get(id)),
    'datasets.rename': ({ id, name, before }) => {
      const dataset = store.datasets.rename(id, name, before);
      changed();
      return dataset;
    },
    'datasets.delete': ({ id }) => deletions.add(datasetDeletion(context, id)),
    'prepared.plan': (input) => planPrepare(store, input),
    'prepared.start': (input) => {
      deletions.settle('prepared'); // what is prepared now is not deleted a little later
      const { name } = store.datasets.get(input.dataset);
      return tasks.start('prepare', `Preparing ${name} at ${input.size} pixels`, async ({ signal, progress }) => {
        try {
          await requireAnswering(context, input.dataset);
          const job = { database: store.path, options: input };
          return await runJob('prepare', job, { signal, onProgress: progress });
        } finally {
          preparedChanged();
        }
      });
    },
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
