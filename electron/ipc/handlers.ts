import { mkdirSync, statSync } from 'node:fs';
import { hostname, platform } from 'node:os';
import { basename, resolve } from 'node:path';
import type { Dataset } from '../../shared/domain.ts';
import { AppError } from '../../shared/errors.ts';
import type { DatasetRow, ImportedWeights, TaskRef } from '../../shared/ipc.ts';
import { named } from '../../shared/named.ts';
import { requireOutput } from '../files/outputs.ts';
import { typedPath } from '../files/typed-path.ts';
import { backendChoice, chooseBackend, tryBackends } from '../services/backend-trial.ts';
import { configFields } from '../services/configuration.ts';
import {
  datasetFolderMissing,
  type ImportProgress,
  importDataset,
  locateFolder,
  rescan,
} from '../services/datasets.ts';
import { besideEmbeddings } from '../services/embeddings/writers.ts';
import { estimateCost } from '../services/estimate.ts';
import { ENDINGS } from '../services/export/export.ts';
import { storedMap } from '../services/feature-map.ts';
import { listFolder } from '../services/folders.ts';
import { installRuntime } from '../services/install.ts';
import { runJob } from '../services/jobs.ts';
import { labPreview } from '../services/lab.ts';
import { labelNotices } from '../services/labels.ts';
import { planPrepare, prepareDataset } from '../services/prepare.ts';
import { claimSet, deletePrepared, sweepPrepared } from '../services/prepared-files.ts';
import { checkRecipe, configOf, differsFromPreset, listPresets, savePreset } from '../services/presets.ts';
import { probeStrip } from '../services/probe-strip.ts';
import { deleteIndex, specOf } from '../services/retrieval/folders.ts';
import { deleteRun, inOrderOfDeletion } from '../services/runs.ts';
import { SAMPLES } from '../services/sample.ts';
import { removeStored, storageReport } from '../services/storage.ts';
import type { TaskControl } from '../services/tasks.ts';
import { VERSION } from '../services/version.ts';
import { exportWeights, WEIGHTS_ENDING } from '../services/weights.ts';
import { fileOf } from '../store/image-file.ts';
import type { Context, Handlers } from './program.ts';

/** What each channel does; the work itself is the services'. */
export function handlers(context: Context): Handlers {
  return {
    ...windowHandlers(context),
    ...datasetHandlers(context),
    ...preparedHandlers(context),
    ...recipeHandlers(context),
    ...runHandlers(context),
    ...checkpointHandlers(context),
    ...exploreHandlers(context),
    ...retrievalHandlers(context),
    ...runtimeHandlers(context),
  };
}

type Part<P extends string> = Pick<Handlers, Extract<keyof Handlers, `${P}.${string}`>>;

function windowHandlers({ home, shell, tasks, deletions }: Context): Part<'app' | 'folders' | 'tasks' | 'undo'> {
  return {
    'app.info': () => ({ version: VERSION, shell: shell.kind, home, platform: platform(), host: hostname() }),
    'folders.pick': async () => {
      if (!shell.pickFolder) throw new AppError('not-found', 'This window has no dialog of the system.');
      return { path: await shell.pickFolder() };
    },
    'folders.list': ({ path }) => listFolder(path),
    'tasks.list': () => tasks.list(),
    'tasks.cancel': ({ id }) => {
      tasks.cancel(id);
      return {};
    },
    'tasks.show': ({ id }) => {
      const path = tasks.made(id);
      if (path === null) throw new AppError('not-found', 'This task has written no file.');
      return { path, shown: shell.reveal(path) };
    },
    'tasks.dismiss': ({ id }) => {
      tasks.dismiss(id);
      return {};
    },
    'undo.restore': ({ undo }) => {
      deletions.restore(undo);
      return {};
    },
  };
}

const shownProgress =
  (progress: TaskControl['progress']) =>
  ({ phase, found, done, total, perSecond, current }: ImportProgress) =>
    phase === 'finding'
      ? progress(found, 0, 'looking for files')
      : progress(done, total, `${Math.round(perSecond)} files/s${current ? `, ${basename(current)}` : ''}`);

function datasetHandlers({ shell, store, events, tasks, deletions }: Context): Part<'datasets' | 'images'> {
  const changed = () => events.emit({ type: 'datasets' });
  const row = (dataset: Dataset): DatasetRow => {
    const { bytes, vanished, classes } = store.images.facts(dataset.id);
    return {
      ...dataset,
      classes,
      bytes,
      vanished_count: vanished,
      runs: store.datasets.runs(dataset.id).length,
      missing_folder: datasetFolderMissing(dataset),
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
    scan('rescan', `Looking again at ${dataset.name}`, async ({ signal, progress }) => ({
      ...(await rescan(store, dataset, { signal, onProgress: shownProgress(progress) })),
      dataset: dataset.id,
    }));
  const runImport = async (
    { signal, progress }: TaskControl,
    options: { name: string; folders: string[]; labels?: 'none' | 'folders' | undefined },
  ) => {
    const summary = await importDataset(store, { ...options, signal, onProgress: shownProgress(progress) });
    return { ...summary, dataset: summary.dataset.id };
  };
  const hiddenRuns = () => store.runs.list().flatMap(({ id }) => (deletions.isHidden('run', id) ? [id] : []));
  return {
    'datasets.list': () =>
      store.datasets
        .list()
        .filter(({ id }) => !deletions.isHidden('dataset', id))
        .map(row),
    'datasets.get': ({ id }) => {
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
        ...row(dataset),
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
    'datasets.locate': ({ id, from, to }) => {
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
    'datasets.delete': ({ id }) => {
      const { name } = store.datasets.get(id);
      const runs = store.datasets.runs(id).filter((run) => !deletions.isHidden('run', run));
      if (runs.length > 0) {
        const names = named(runs.map((run) => store.runs.get(run).name));
        const why = `${runs.length === 1 ? 'Run' : 'Runs'} ${names} learned from it.`;
        throw new AppError('conflict', `Dataset "${name}" is in use.`, why, 'Delete these runs first.');
      }
      store.needs.refuseDataset(id, name, hiddenRuns());
      return deletions.add({
        kind: 'dataset',
        ids: [id],
        name: `dataset "${name}"`,
        what: `Dataset "${name}" is deleted; its files are untouched.`,
        act: () => {
          store.datasets.delete(id);
          sweepPrepared(store);
        },
        changed,
      });
    },
    'images.page': ({ dataset, ...query }) => store.images.page(store.datasets.get(dataset).id, query),
    'images.get': ({ id }) => {
      const image = store.images.get(id);
      const { folders } = store.datasets.get(image.dataset_id);
      return { ...image, file: fileOf({ folders }, image), same: store.images.sameAs(image) };
    },
    'images.reveal': ({ id }) => {
      const image = store.images.get(id);
      const path = fileOf(store.datasets.get(image.dataset_id), image);
      return { path, shown: shell.reveal(path) };
    },
  };
}

/** Sets of prepared images that no deletion has hidden. */
const shownPrepared = ({ store, deletions }: Pick<Context, 'store' | 'deletions'>) =>
  store.prepared.list().filter(({ id }) => !deletions.isHidden('prepared', id));

function preparedHandlers({ store, events, tasks, deletions }: Context): Part<'prepared'> {
  const changed = () => events.emit({ type: 'prepared' });
  return {
    'prepared.plan': (input) => planPrepare(store, input),
    'prepared.start': (input) => {
      deletions.settle('prepared'); // what is prepared now is not deleted a little later
      const { name } = store.datasets.get(input.dataset);
      return tasks.start('prepare', `Preparing ${name} at ${input.size} pixels`, async ({ signal, progress }) => {
        try {
          return await prepareDataset(store, { ...input, signal, onProgress: progress });
        } finally {
          changed();
        }
      });
    },
    'prepared.delete': ({ id }) => {
      const { dataset_id, size } = store.prepared.get(id);
      claimSet(store, id)(); // refused now, where it would be then
      const name = `what was prepared of ${store.datasets.get(dataset_id).name} at ${size} pixels`;
      const act = () => {
        if (!store.prepared.list().some((one) => one.id === id)) return; // it went with its dataset
        try {
          deletePrepared(store, id);
        } catch (error) {
          // The command line prepares it again meanwhile: that was asked for later.
          if ((error as AppError).kind !== 'conflict') throw error;
        }
      };
      return deletions.add({ kind: 'prepared', ids: [id], name, what: `Deleted ${name}.`, act, changed });
    },
  };
}

function recipeHandlers({ store, events, tasks }: Context): Part<'config' | 'presets' | 'lab'> {
  const changed = () => events.emit({ type: 'presets' });
  return {
    'config.fields': () => configFields(),
    'config.check': (recipe) => checkRecipe(store, recipe),
    'config.estimate': ({ dataset, ...recipe }) => {
      const config = configOf(store, recipe);
      const images = store.datasets.get(dataset).image_count;
      return tasks.start('estimate', 'Measuring what a run costs', ({ signal }) =>
        estimateCost(config, images, signal),
      );
    },
    'presets.list': () => listPresets(store),
    'presets.save': (recipe) => {
      const saved = savePreset(store, recipe);
      changed();
      return saved;
    },
    'presets.delete': ({ name }) => {
      store.presets.delete(name);
      changed();
      return {};
    },
    'lab.preview': ({ images, draw, ...recipe }) => labPreview(store, configOf(store, recipe), { images, draw }),
  };
}

function runHandlers({ store, events, live, deletions }: Context): Part<'runs' | 'queue' | 'finetune'> {
  return {
    'finetune.start': (input) => live.fineTune(input),
    'runs.list': () => live.rows(),
    'runs.get': ({ id }) => {
      const run = live.row(id);
      if (deletions.isHidden('run', id))
        throw new AppError('not-found', `Run "${run.name}" is deleted.`, '', 'For half a minute it can be undone.');
      return {
        ...run,
        checkpoints: store.checkpoints.list(id),
        evaluations: store.evaluations.list({ run_id: id }),
        notices: store.notices.list(id),
        metric_count: store.metrics.count(id),
        differs: differsFromPreset(store, run.preset, run.config),
      };
    },
    'runs.metrics': ({ id, points, from, to }) =>
      store.metrics.sampled(id, points, { ...(from !== null && { from }), ...(to !== null && { to }) }),
    'runs.create': (input) => live.create(input),
    'runs.pause': ({ id }) => live.request(id, 'pause'),
    'runs.stop': ({ id }) => live.request(id, 'stop'),
    'runs.resume': ({ id }) => live.resume(id),
    'queue.move': (input) => {
      live.move(input);
      return {};
    },
    'runs.annotate': (input) => live.annotate(input),
    'runs.delete': ({ ids }) => {
      const runs = [...new Set(ids)].map((id) => store.runs.get(id));
      const running = runs.find(({ status }) => status === 'running');
      if (running) throw new AppError('conflict', `Run "${running.name}" is running.`, '', 'Stop it first.');
      const hidden = store.runs.list().filter(({ id }) => deletions.isHidden('run', id));
      store.needs.refuseRuns([...runs, ...hidden].map(({ id }) => id));
      const waiting = store.queuedEvaluations
        .list()
        .filter((one) => one.error === null && ids.includes(one.run_id)).length;
      const also =
        waiting === 0 ? '' : ` So ${waiting === 1 ? 'is an evaluation' : `are ${waiting} evaluations`} that waited.`;
      const names = named(runs.map((run) => run.name));
      const [name, what] =
        runs.length === 1
          ? [`run ${names}`, `Run ${names} is deleted, with its checkpoints.${also}`]
          : [`runs ${names}`, `${runs.length} runs are deleted, with their checkpoints: ${names}.${also}`];
      return deletions.add({
        ...{ kind: 'run', ids, name, what },
        act: () => {
          for (const { id } of inOrderOfDeletion(runs)) deleteRun(store, id);
        },
        changed: () => events.emit({ type: 'runs' }),
      });
    },
  };
}

function checkpointHandlers({
  store,
  events,
  tasks,
  live,
}: Context): Part<'checkpoints' | 'probes' | 'evaluations' | 'weights' | 'embeddings' | 'health'> {
  return {
    'checkpoints.delete': ({ id }) => {
      const run = store.checkpoints.runOf(id);
      const bytes = store.checkpoints.delete(id);
      events.emit({ type: 'checkpoint', run });
      return { bytes };
    },
    'probes.get': ({ id }) => probeStrip(store, id),
    'probes.compute': ({ id }) =>
      tasks.start('probes', `Look-ups of ${store.runs.get(id).name}`, async ({ signal, progress }) => {
        const result = await runJob(
          { kind: 'probes', database: store.path, run: id },
          { signal, onProgress: progress },
        );
        events.emit({ type: 'checkpoint', run: id });
        return result;
      }),
    'evaluations.list': ({ run }) => store.evaluations.list(run === null ? {} : { run_id: run }),
    'evaluations.start': (input) => live.evaluate(input),
    'health.report': ({ checkpoint, dataset, images, folder, file, replace }) => {
      const { run_id, step } = store.checkpoints.get(checkpoint);
      const options = { checkpoint, dataset, images, replace, file: outputIn(folder, file, '.html', replace) };
      return tasks.start('health', `Health of ${store.runs.get(run_id).name}, step ${step}`, ({ signal, progress }) =>
        runJob({ kind: 'health', database: store.path, options }, { signal, onProgress: progress }),
      );
    },
    'embeddings.export': ({ checkpoint, dataset, folder, file, ...asked }) => {
      const beside = (path: string) => besideEmbeddings(path, asked.format);
      const path = outputIn(folder, file, `.${asked.format}`, asked.replace, beside);
      const { run_id, step } = store.checkpoints.get(checkpoint);
      const title = `Embeddings of ${store.datasets.get(dataset).name} by ${store.runs.get(run_id).name}, step ${step}`;
      const options = { ...asked, checkpoint, dataset, file: path };
      return tasks.start('embeddings', title, ({ signal, progress }) =>
        runJob({ kind: 'embeddings', database: store.path, options }, { signal, onProgress: progress }),
      );
    },
    'checkpoints.export': ({ folder, file, ...what }) => {
      const options = { ...what, file: placeIn(folder, file, ENDINGS[what.format]) };
      return runJob({ kind: 'export', database: store.path, options });
    },
    'weights.export': ({ checkpoint, part, folder, file, replace }) => {
      const path = placeIn(folder, file, WEIGHTS_ENDING);
      exportWeights(store, checkpoint, path, part, { replace });
      return { path, bytes: statSync(path).size };
    },
    'weights.import': async ({ file, ...input }) => {
      const asked = { ...input, file: typedPath(file, 'the file') };
      const job = { kind: 'import-weights', database: store.path, input: asked } as const;
      const imported = await runJob<ImportedWeights>(job);
      events.emit({ type: 'runs' });
      return imported;
    },
  };
}

/** The path of a file to be written; its folder is made. @throws AppError bad-input for a name that is a path, or a folder that cannot be */
function placeIn(typed: string, file: string, ending: string): string {
  const folder = typedPath(typed, 'the folder');
  if (basename(file) !== file) throw new AppError('bad-input', `"${file}" is not the name of a file.`);
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    const { message } = error as Error;
    throw new AppError('bad-input', `${folder} cannot be made.`, message, 'Choose another folder.', { cause: error });
  }
  return resolve(folder, file.toLowerCase().endsWith(ending) ? file : `${file}${ending}`);
}

/** The same, looked at before a task begins. @throws AppError as `requireOutput` */
function outputIn(
  folder: string,
  file: string,
  ending: string,
  replace: boolean,
  beside: (path: string) => string[] = () => [],
): string {
  const path = placeIn(folder, file, ending);
  return requireOutput(path, { endings: [ending], beside: beside(path), replace });
}

function exploreHandlers({ store, tasks, explore }: Context): Part<'explore'> {
  return {
    'explore.lookup': (input) => explore.lookup(input),
    'explore.accuracy': (input) => {
      const { run_id, step } = store.checkpoints.get(input.checkpoint);
      const title = `Where look-ups of ${store.runs.get(run_id).name}, step ${step}, are right`;
      return tasks.start('accuracy', title, ({ signal, progress }) =>
        explore.accuracy(input, { signal, onProgress: progress }),
      );
    },
    'explore.colours': (input) => explore.colours(input),
    'explore.attention': (input) => explore.attention(input),
    'explore.map': (input) => storedMap(store, input),
    'explore.map-compute': (input) => {
      const { run_id, step } = store.checkpoints.get(input.checkpoint);
      const which = input.untrained ? 'untrained' : `step ${step}`;
      const title = `Map of ${store.datasets.get(input.dataset).name} by ${store.runs.get(run_id).name}, ${which}`;
      return tasks.start('map', title, ({ signal, progress }) => explore.map(input, { signal, onProgress: progress }));
    },
  };
}

/** Indexes that no deletion has hidden. */
const shownIndexes = ({ store, deletions }: Pick<Context, 'store' | 'deletions'>) =>
  store.retrieval.list().filter(({ id }) => !deletions.isHidden('index', id));

function retrievalHandlers({ store, events, tasks, explore, deletions }: Context): Part<'retrieval' | 'travel'> {
  const changed = () => events.emit({ type: 'indexes' });
  return {
    'retrieval.indexes': () => shownIndexes({ store, deletions }),
    'retrieval.build': (input) => {
      deletions.settle('index'); // what is built now is not deleted a little later
      const { run_id, step } = store.checkpoints.get(input.checkpoint);
      const { name } = store.datasets.get(input.dataset);
      const title = `Index of ${name} by ${store.runs.get(run_id).name}, step ${step}`;
      return tasks.start('index', title, async ({ signal, progress }) => {
        try {
          const job = { kind: 'index', database: store.path, spec: specOf(input) } as const;
          return await runJob(job, { signal, onProgress: progress });
        } finally {
          changed();
        }
      });
    },
    'retrieval.delete': ({ id }) => {
      const { is_ready, dataset_id } = store.retrieval.get(id);
      if (!is_ready && tasks.list().some(({ kind, status }) => kind === 'index' && status === 'running'))
        throw new AppError('conflict', 'An index is being built.', 'It may be this one.', 'Cancel that first.');
      const name = `an index of ${store.datasets.get(dataset_id).name}`;
      // It may have gone with its checkpoint until then.
      const act = () => store.retrieval.list().some((one) => one.id === id) && deleteIndex(store, id);
      return deletions.add({ kind: 'index', ids: [id], name, what: `Deleted ${name}.`, act, changed });
    },
    'retrieval.search': (input) => explore.retrieve(input),
    'travel.build': (input) => {
      deletions.settle('index');
      const title = `${store.datasets.get(input.dataset).name} at ${input.checkpoints.length} checkpoints`;
      return tasks.start('index', title, async ({ signal, progress }) => {
        try {
          return await runJob({ kind: 'travel', database: store.path, input }, { signal, onProgress: progress });
        } finally {
          changed();
        }
      });
    },
    'travel.ask': (input) => explore.travel(input),
  };
}

function runtimeHandlers({ home, store, tasks, thumbnails, deletions }: Context): Part<'runtime'> {
  return {
    'runtime.doctor': () =>
      tasks.start('doctor', 'Looking at the machine', ({ signal }) => runJob({ kind: 'doctor', home }, { signal })),
    'runtime.choice': () => backendChoice(),
    'runtime.trial': () => {
      const going = tasks.list().find(({ kind, status }) => kind === 'trial' && status === 'running');
      return going ? { task: going.id } : tasks.start('trial', 'Trying the backends', tryBackends);
    },
    'runtime.use': ({ backend }) => {
      chooseBackend(backend);
      return {};
    },
    'runtime.install': ({ variant }) =>
      tasks.start('install', `Setting up TensorFlow (${variant})`, (control) => installRuntime(variant, control)),
    'runtime.storage': () =>
      storageReport(store, {
        ...{ home, thumbnails: thumbnails.folder },
        ...{ indexes: shownIndexes({ store, deletions }), prepared: shownPrepared({ store, deletions }) },
      }),
    'runtime.remove': async ({ path }) => ({ bytes: await removeStored(path, thumbnails.folder) }),
  };
}
