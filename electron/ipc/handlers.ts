import { hostname, platform } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import type { ImportedWeights } from '../../shared/contract/checkpoints.ts';
import type { DatasetRow } from '../../shared/contract/datasets.ts';
import type { TaskRef } from '../../shared/contract/tasks.ts';
import type { Dataset } from '../../shared/dataset.ts';
import { AppError } from '../../shared/errors.ts';
import { named } from '../../shared/named.ts';
import { VERSION } from '../files/project.ts';
import { typedPath } from '../files/typed-path.ts';
import { folderTrouble, type ImportSummary, locateFolder } from '../services/datasets/datasets.ts';
import { planPrepare } from '../services/datasets/prepare.ts';
import { claimSet, deletePrepared, sweepPrepared } from '../services/datasets/prepared-files.ts';
import { SAMPLES } from '../services/datasets/samples.ts';
import { besideEmbeddings } from '../services/embeddings/writers.ts';
import { storedMap } from '../services/explore/feature-map.ts';
import { probeStrip } from '../services/explore/probe-strip.ts';
import { ENDINGS } from '../services/export/export.ts';
import { WEIGHTS_ENDING } from '../services/export/weights.ts';
import { runJob } from '../services/ground/jobs.ts';
import { isSilent, type Outside } from '../services/ground/outside.ts';
import type { TaskControl } from '../services/ground/tasks.ts';
import { backendChoice, chooseBackend, tryBackends } from '../services/machine/backend-trial.ts';
import { listFolder } from '../services/machine/folder-listing.ts';
import { installRuntime } from '../services/machine/install.ts';
import { removeStored, storageReport } from '../services/machine/storage.ts';
import { configFields } from '../services/recipes/configuration.ts';
import { estimateCost } from '../services/recipes/estimate.ts';
import { labPreview } from '../services/recipes/lab.ts';
import { checkRecipe, configOf, differsFromPreset, listPresets, savePreset } from '../services/recipes/presets.ts';
import { deleteIndex, specOf } from '../services/retrieval/folders.ts';
import { labelNotices } from '../services/runs/fine-tune.ts';
import { deleteRun, inOrderOfDeletion } from '../services/runs/runs.ts';
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

function windowHandlers({
  home,
  shell,
  tasks,
  deletions,
  outside,
}: Context): Part<'app' | 'folders' | 'tasks' | 'undo'> {
  return {
    'app.info': () => ({ version: VERSION, shell: shell.kind, home, platform: platform(), host: hostname() }),
    'folders.pick': async () => {
      if (!shell.pickFolder) throw new AppError('not-found', 'This window has no dialog of the system.');
      return { path: await shell.pickFolder() };
    },
    'folders.list': ({ path }) => listFolder(outside, path),
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

/** Refuses a dataset one of whose folders hangs: nothing that reads from it would end. @throws AppError */
async function requireAnswering({ store, outside, explore }: Context, dataset: number): Promise<void> {
  try {
    await Promise.all(store.datasets.get(dataset).folders.map((folder) => outside.look(folder)));
  } catch (error) {
    // What asked there before may hang in it. What is no answer of the disk is said by what reads.
    if (isSilent(error)) {
      explore.close();
      throw error;
    }
  }
}

function datasetHandlers(context: Context): Part<'datasets' | 'images'> {
  const { shell, store, events, tasks, deletions, outside } = context;
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
      const job = { kind: 'rescan', database: store.path, dataset: dataset.id } as const;
      return { ...(await runJob<ImportSummary>(job, { signal, onProgress: progress })), dataset: dataset.id };
    });
  const runImport = async (
    { signal, progress }: TaskControl,
    options: { name: string; folders: string[]; labels?: 'none' | 'folders' | undefined },
  ) => {
    await Promise.all(options.folders.map((folder) => outside.look(typedPath(folder, 'the folder'))));
    const job = { kind: 'import', database: store.path, options } as const;
    const summary = await runJob<ImportSummary>(job, { signal, onProgress: progress });
    return { ...summary, dataset: summary.dataset.id };
  };
  const hiddenRuns = () => store.runs.list().flatMap(({ id }) => (deletions.isHidden('run', id) ? [id] : []));
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
    'images.reveal': async ({ id }) => {
      const image = store.images.get(id);
      const dataset = store.datasets.get(image.dataset_id);
      const path = fileOf(dataset, image);
      const { kind } = await outside.look(path, dataset.folders[image.folder]!);
      return { path, shown: kind !== 'none' && shell.reveal(path) };
    },
  };
}

/** Sets of prepared images that no deletion has hidden. */
const shownPrepared = ({ store, deletions }: Pick<Context, 'store' | 'deletions'>) =>
  store.prepared.list().filter(({ id }) => !deletions.isHidden('prepared', id));

function preparedHandlers(context: Context): Part<'prepared'> {
  const { store, events, tasks, deletions } = context;
  const changed = () => events.emit({ type: 'prepared' });
  return {
    'prepared.plan': (input) => planPrepare(store, input),
    'prepared.start': (input) => {
      deletions.settle('prepared'); // what is prepared now is not deleted a little later
      const { name } = store.datasets.get(input.dataset);
      return tasks.start('prepare', `Preparing ${name} at ${input.size} pixels`, async ({ signal, progress }) => {
        try {
          await requireAnswering(context, input.dataset);
          const job = { kind: 'prepare', database: store.path, options: input } as const;
          return await runJob(job, { signal, onProgress: progress });
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

function recipeHandlers(context: Context): Part<'config' | 'presets' | 'lab'> {
  const { store, events, tasks } = context;
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
    'lab.preview': async ({ images, draw, ...recipe }) => {
      const datasets = new Set(images.map((id) => store.images.get(id).dataset_id));
      for (const dataset of datasets) await requireAnswering(context, dataset);
      return labPreview(store, configOf(store, recipe), { images, draw });
    },
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
  outside,
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
    'health.report': async ({ checkpoint, dataset, images, ...place }) => {
      const { run_id, step } = store.checkpoints.get(checkpoint);
      const file = await outputIn(outside, place, '.html');
      const options = { checkpoint, dataset, images, replace: place.replace, file };
      return tasks.start('health', `Health of ${store.runs.get(run_id).name}, step ${step}`, ({ signal, progress }) =>
        runJob({ kind: 'health', database: store.path, options }, { signal, onProgress: progress }),
      );
    },
    'embeddings.export': async ({ checkpoint, dataset, folder, file, ...asked }) => {
      const beside = (path: string) => besideEmbeddings(path, asked.format);
      const path = await outputIn(outside, { folder, file, replace: asked.replace }, `.${asked.format}`, beside);
      const { run_id, step } = store.checkpoints.get(checkpoint);
      const title = `Embeddings of ${store.datasets.get(dataset).name} by ${store.runs.get(run_id).name}, step ${step}`;
      const options = { ...asked, checkpoint, dataset, file: path };
      return tasks.start('embeddings', title, ({ signal, progress }) =>
        runJob({ kind: 'embeddings', database: store.path, options }, { signal, onProgress: progress }),
      );
    },
    'checkpoints.export': async ({ folder, file, ...what }) => {
      const options = { ...what, file: placeIn(folder, file, ENDINGS[what.format]) };
      await outside.make(dirname(options.file));
      return runJob({ kind: 'export', database: store.path, options });
    },
    'weights.export': async ({ checkpoint, part, ...place }) => {
      store.checkpoints.get(checkpoint);
      const file = await outputIn(outside, place, WEIGHTS_ENDING);
      const options = { checkpoint, part, file, replace: place.replace };
      return runJob({ kind: 'export-weights', database: store.path, options });
    },
    'weights.import': async ({ file, ...input }) => {
      const asked = { ...input, file: typedPath(file, 'the file') };
      await outside.look(asked.file);
      const job = { kind: 'import-weights', database: store.path, input: asked } as const;
      const imported = await runJob<ImportedWeights>(job);
      events.emit({ type: 'runs' });
      return imported;
    },
  };
}

/** The path of a file to be written. @throws AppError bad-input for a name that is a path */
function placeIn(typed: string, file: string, ending: string): string {
  const folder = typedPath(typed, 'the folder');
  if (basename(file) !== file) throw new AppError('bad-input', `"${file}" is not the name of a file.`);
  return resolve(folder, file.toLowerCase().endsWith(ending) ? file : `${file}${ending}`);
}

/** The same, looked at before a task begins; its folder is made. @throws AppError as `requireOutput` */
function outputIn(
  outside: Outside,
  { folder, file, replace }: { folder: string; file: string; replace: boolean },
  ending: string,
  beside: (path: string) => string[] = () => [],
): Promise<string> {
  const path = placeIn(folder, file, ending);
  return outside.output(path, { endings: [ending], beside: beside(path), replace });
}

function exploreHandlers(context: Context): Part<'explore'> {
  const { store, tasks, explore } = context;
  const ofImage = (image: number) => requireAnswering(context, store.images.get(image).dataset_id);
  return {
    'explore.lookup': async (input) => {
      await ofImage(input.image);
      return explore.lookup(input);
    },
    'explore.accuracy': (input) => {
      const { run_id, step } = store.checkpoints.get(input.checkpoint);
      const title = `Where look-ups of ${store.runs.get(run_id).name}, step ${step}, are right`;
      return tasks.start('accuracy', title, ({ signal, progress }) =>
        explore.accuracy(input, { signal, onProgress: progress }),
      );
    },
    'explore.colours': async (input) => {
      await requireAnswering(context, input.dataset);
      return explore.colours(input);
    },
    'explore.attention': async (input) => {
      await ofImage(input.image);
      return explore.attention(input);
    },
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

function retrievalHandlers(context: Context): Part<'retrieval' | 'travel'> {
  const { store, events, tasks, explore, deletions } = context;
  const ofImage = (image: number) => requireAnswering(context, store.images.get(image).dataset_id);
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
    'retrieval.search': async (input) => {
      await ofImage(input.image);
      return explore.retrieve(input);
    },
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
    'travel.ask': async (input) => {
      await ofImage(input.image);
      return explore.travel(input);
    },
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
