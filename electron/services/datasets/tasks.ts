import type { DatasetScan } from '../../../shared/contract/datasets.ts';
import type { Input } from '../../../shared/contract/index.ts';
import type { TaskRef } from '../../../shared/contract/started.ts';
import type { Dataset } from '../../../shared/dataset.ts';
import { typedPath } from '../../files/typed-path.ts';
import { type ImportAsked, runJob } from '../ground/jobs.ts';
import type { Starting, TaskControl } from '../ground/tasks.ts';
import type { Deletions } from '../ground/undo.ts';
import { type Answering, requireAnswering } from './answering.ts';
import { locateFolder } from './datasets.ts';
import { SAMPLES } from './samples.ts';

type Here = Starting & Answering;

/** Scans folders as a new dataset. @throws AppError bad-input for a path that is none */
export function startImport(here: Here, { folders, ...asked }: Input<'datasets.import'>): TaskRef<'import'> {
  const options = { ...asked, folders: folders.map((folder) => typedPath(folder, 'a folder of images')) };
  return here.tasks.start('import', `Importing ${asked.name}`, (control) =>
    toldOf(here, () => importFolders(here, options, control)),
  );
}

/** The images that come with the program. Its result is the first of their datasets. */
export function startSampleImport(here: Here): TaskRef<'import'> {
  return here.tasks.start('import', 'Importing the sample images', (control) =>
    toldOf(here, async () => {
      const [first, ...others] = SAMPLES;
      const ask = ({ name, folder, labels }: (typeof SAMPLES)[number]) =>
        importFolders(here, { name, folders: [folder], labels }, control);
      const found = await ask(first);
      for (const sample of others) await ask(sample);
      return found;
    }),
  );
}

/** Looks again at a dataset's folders. */
export function startRescan(here: Here, dataset: Dataset): TaskRef<'rescan'> {
  const { id, name } = dataset;
  return here.tasks.start('rescan', `Looking again at ${name}`, ({ signal, progress }) =>
    toldOf(here, async () => {
      await requireAnswering(here, id);
      const job = { database: here.store.path, dataset: id };
      return { ...(await runJob('rescan', job, { signal, onProgress: progress })), dataset: id };
    }),
  );
}

/** A folder has moved: its images are looked for where it is now. @throws AppError where they are not there */
export async function startLocating(
  here: Here,
  { id, from, to }: Input<'datasets.locate'>,
): Promise<TaskRef<'rescan'>> {
  await here.outside.look(typedPath(to, 'a folder of images'));
  const dataset = locateFolder(here.store, here.store.datasets.get(id), from, to);
  here.events.emit({ type: 'datasets' });
  return startRescan(here, dataset);
}

/** Keeps a dataset's images decoded. @throws AppError not-found */
export function startPreparing(
  here: Here & { deletions: Deletions },
  asked: Input<'prepared.start'>,
): TaskRef<'prepare'> {
  const { store, tasks, events, deletions } = here;
  deletions.settle('prepared'); // what is prepared now is not deleted a little later
  const { name } = store.datasets.get(asked.dataset);
  return tasks.start('prepare', `Preparing ${name} at ${asked.size} pixels`, async ({ signal, progress }) => {
    try {
      await requireAnswering(here, asked.dataset);
      const job = { database: store.path, options: asked };
      return await runJob('prepare', job, { signal, onProgress: progress });
    } finally {
      events.emit({ type: 'prepared' });
    }
  });
}

/** However it ends, windows hear that datasets may have changed. */
async function toldOf<T>({ events }: Here, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    events.emit({ type: 'datasets' });
  }
}

async function importFolders(
  { store, outside }: Here,
  options: ImportAsked,
  { signal, progress }: TaskControl,
): Promise<DatasetScan> {
  await Promise.all(options.folders.map((folder) => outside.look(typedPath(folder, 'the folder'))));
  const job = { database: store.path, options };
  const summary = await runJob('import', job, { signal, onProgress: progress });
  return { ...summary, dataset: summary.dataset.id };
}
