import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { requireNetwork, steadiestOf } from '../../methods/index.ts';
import { gridOf } from '../../shared/config.ts';
import type { RetrievalView } from '../../shared/contract/retrieval.ts';
import { AppError } from '../../shared/errors.ts';
import { leftOutWords } from '../../shared/left-out.ts';
import { rowAndColumn } from '../../shared/patches.ts';
import { printable } from '../../shared/printable.ts';
import { type RetrievalSpec, WHOLE_FEATURES } from '../../shared/retrieval.ts';
import { bytes, percent, plural } from '../../shared/words.ts';
import { type Target, targetOf } from '../files/outputs.ts';
import { loadBackend } from '../runtime/backend.ts';
import { deleteIndex } from '../services/retrieval/folders.ts';
import { type AlikeQuery, PatchIndexes } from '../services/retrieval/patch-index.ts';
import { buildTravel, travel } from '../services/retrieval/travel.ts';
import { drawRetrieval } from '../services/sheets/retrieval.ts';
import { drawTravel } from '../services/sheets/travel.ts';
import type { Store } from '../store/store.ts';
import { type Context, withStore } from './context.ts';
import { findImage } from './explore-commands.ts';
import { findCheckpoint } from './model-commands.ts';
import { wholeNumber } from './output.ts';
import { OutputOption } from './output-option.ts';
import { patchesFrom } from './patches.ts';
import { table } from './table.ts';

/** index, indexes, retrieve, alike, travel. */
export function addRetrievalCommands(program: Command): void {
  features(
    program
      .command('index')
      .description(
        'build the index of a dataset’s patches, go on with one that was cut short, or add new images to it',
      ),
  ).action(
    withStore<[string]>(async ({ out, store, signal }, options, text) => {
      const spec = specOf(store, options, text);
      await loadBackend();
      const indexes = new PatchIndexes(store);
      const report = await indexes.build(spec, {
        signal,
        onProgress: (done, total, phase) => out.progress(`${phase}: ${done} of ${total}`),
      });
      const { recall } = report;
      const how = recall
        ? `Of the ten nearest it finds ${percent(recall.recall)} (${recall.queries} queries against all patches compared); p95 ${recall.p95.toFixed(1)} ms.`
        : 'Small enough that every query compares all: nothing is missed.';
      const again = report.repaired.length > 0 ? ` Damaged, and made anew: ${report.repaired.join(', ')}.` : '';
      const { left_out } = report;
      const lost = left_out.length > 0 ? `\n${leftOutWords(left_out, report.index.images + left_out.length)}` : '';
      out.result(
        report,
        `Index ${report.index.id}: ${plural(report.patches, 'patch', 'patches')} of ` +
          `${plural(report.index.images, 'image')}, ${bytes(report.bytes)}. ${how}${again}${lost}`,
      );
    }),
  );
  program
    .command('indexes')
    .description('list indexes of patches, or delete one')
    .option('--delete <n>', 'delete the index of this number, and free its space', wholeNumber('--delete', 1))
    .action(
      withStore(({ out, store }, options) => {
        if (options.delete !== undefined) deleteIndex(store, options.delete as number);
        const list = store.retrieval.list();
        const rows = list.map((one) => [
          one.id,
          store.datasets.get(one.dataset_id).name,
          one.checkpoint_id,
          `${one.feature} of ${one.part}`,
          one.images,
          one.is_ready ? 'ready' : 'unfinished: build it again to go on',
        ]);
        out.result(list, table(['index', 'dataset', 'checkpoint', 'features', 'images', ''], rows));
      }),
    );
  features(program.command('retrieve').description('find the patches of a dataset that are most like one of an image'))
    .requiredOption('--image <path>', 'image of the query, by its path in its folder')
    .option('--from <dataset>', 'dataset of that image, if not the one that is searched')
    .requiredOption('--patch <row,column>', 'from 1,1 at the top left; a region by its corners: 2,3-4,5')
    .option('--within', 'search that image alone')
    .option('-k, --neighbours <n>', 'number of answers', wholeNumber('--neighbours', 1), 10)
    .option('--label <class>', 'only answers of this class')
    .option('--folder <start>', 'only answers whose path begins with this')
    .option('--other-images', 'no answers from the image itself')
    .option('--no-duplicates', 'no copies: equal files, and patches that look the same to the network')
    .addOption(
      new OutputOption('--png <file>', 'also draw a contact sheet of the answers', {
        endings: ['.png'],
        makesFolder: true,
      }),
    )
    .action(
      withStore<[string]>(async ({ out, store }, options, text) => {
        const spec = specOf(store, options, text);
        const from = options.from === undefined ? spec.dataset_id : store.datasets.get(options.from as string).id;
        await loadBackend();
        const indexes = new PatchIndexes(store);
        const grid = gridOf(store.checkpoints.get(spec.checkpoint_id).config.model);
        const view = await indexes.search({
          spec,
          image: findImage({ store, out }, from, options.image as string),
          patches: patchesFrom(options.patch as string, grid),
          isWithinImage: options.within === true,
          k: options.neighbours as number,
          label: (options.label as string | undefined) ?? null,
          folder: (options.folder as string | undefined) ?? '',
          sameImage: options.otherImages !== true,
          duplicates: options.duplicates !== false,
        });
        indexes.close();
        const target = options.png as Target | undefined;
        if (target) await drawRetrieval(view, target);
        const sheet = target === undefined ? null : targetOf(target).path;
        const results = view.results.map(({ picture: _, ...rest }) => rest);
        const { picture: _, ...rest } = view;
        out.result(
          { ...rest, results, contact_sheet: sheet },
          sheet ? `${viewWords(view)}\nContact sheet: ${sheet}` : viewWords(view),
        );
      }),
    );
  ofPart(program.command('alike').description('find the images of a dataset that are most like one, as a whole'))
    .option('--image <path>', 'image of the query, by its path in its folder')
    .option('--from <dataset>', 'dataset of that image, if not the one that is searched')
    .option('--file <file>', 'a file that is in no dataset, in place of --image')
    .addOption(
      new Option('--feature <feature>', 'of an image: the mean of its patch tokens, or CLS')
        .choices(WHOLE_FEATURES)
        .default('mean'),
    )
    .option('-k, --neighbours <n>', 'number of answers', wholeNumber('--neighbours', 1), 24)
    .option('--label <class>', 'only answers of this class')
    .option('--folder <start>', 'only answers whose path begins with this')
    .option('--no-duplicates', 'no copies: equal files, and images that look the same to the network')
    .action(
      withStore<[string]>(async ({ out, store, signal }, options, text) => {
        const spec = specOf(store, { ...options, maxImages: 0 }, text);
        const of = asQuery({ store, out }, spec.dataset_id, options);
        await loadBackend();
        const indexes = new PatchIndexes(store);
        // What is there is looked through at once: only what is new or was cut short is computed.
        await indexes.build(spec, {
          signal,
          onProgress: (done, total, phase) => out.progress(`${phase}: ${done} of ${total}`),
        });
        const view = await indexes.alike({
          spec,
          of,
          k: options.neighbours as number,
          label: (options.label as string | undefined) ?? null,
          folder: (options.folder as string | undefined) ?? '',
          duplicates: options.duplicates !== false,
        });
        indexes.close();
        const { picture: _, ...rest } = view;
        const rows = view.results.map(({ score, path, label }) => [score.toFixed(3), path, label ?? '']);
        out.result(rest, [table(['score', 'image', 'class'], rows), view.searched.words].join('\n'));
      }),
    );
  program
    .command('travel')
    .description('ask the same patch at every checkpoint of a run, or of several beside the first, and before training')
    .argument('<runs...>', 'numbers or names')
    .requiredOption('--dataset <name>', 'dataset that is searched')
    .requiredOption('--image <path>', 'image of the query, by its path in its folder')
    .requiredOption('--patch <row,column>', 'from 1,1 at the top left; a region by its corners: 2,3-4,5')
    .option('--part <part>', 'whose features: student or teacher (else the teacher’s, where every run has one)')
    .option('--feature <feature>', 'tokens (after the last LayerNorm), projector, or block-N', 'tokens')
    .option('--max-images <n>', 'images that are compared, at most, spread evenly', wholeNumber('--max-images', 1), 200)
    .option('-k, --neighbours <n>', 'number of answers', wholeNumber('--neighbours', 1), 6)
    .addOption(
      new OutputOption('--png <file>', 'also draw a contact sheet: a row for each checkpoint', {
        endings: ['.png'],
        makesFolder: true,
      }),
    )
    .action(
      withStore<[string[]]>(async ({ out, store, signal }, options, names) => {
        const checkpoints = names.flatMap((name) =>
          store.checkpoints.list(store.runs.get(/^\d+$/.test(name) ? Number(name) : name).id),
        );
        if (checkpoints.length === 0) throw new AppError('not-found', 'These runs have no checkpoint yet.');
        const configs = checkpoints.map(({ config }) => config);
        const hasTeachers = configs.every((config) => steadiestOf(config) === 'teacher');
        const part = (options.part ?? (hasTeachers ? 'teacher' : 'student')) as 'student' | 'teacher';
        if (!['student', 'teacher'].includes(part))
          throw new AppError('bad-input', `--part is student or teacher, not "${part}".`);
        for (const config of configs) requireNetwork(config, part);
        const dataset = store.datasets.get(options.dataset as string).id;
        const route = {
          checkpoints: checkpoints.map(({ id }) => id),
          dataset,
          part,
          feature: options.feature as string,
          max_images: options.maxImages as number,
        };
        const grid = gridOf(store.checkpoints.get(checkpoints[0]!.id).config.model);
        const patches = patchesFrom(options.patch as string, grid);
        await loadBackend();
        const indexes = new PatchIndexes(store);
        await buildTravel(store, indexes, route, {
          signal,
          onProgress: (done, total, phase) => out.progress(`${phase}: ${percent(done / total)}`),
        });
        const image = findImage({ store, out }, dataset, options.image as string);
        const view = await travel(store, indexes, { ...route, image, patches, k: options.neighbours as number });
        indexes.close();
        const png = options.png as Target | undefined;
        if (png !== undefined) await drawTravel(view, { path: options.image as string, patches }, png);
        const { pictures: _, picture: __, ...rest } = view;
        const stop = (one: { step: number; is_untrained: boolean }) =>
          one.is_untrained ? 'untrained' : `step ${one.step}`;
        const first = view.stations[0]!.name;
        const isOfMore = new Set(view.stations.map(({ run }) => run)).size > 1;
        const rows = view.stations.map(({ name, overlap, beside, results, grid, ...one }) => [
          ...[name, stop(one), overlap === null ? '' : percent(overlap)],
          ...(isOfMore
            ? [beside ? `${beside.overlap === null ? 'other grid' : percent(beside.overlap)} (${stop(beside)})` : '']
            : []),
          (results ?? [])
            .map(({ path, patch, score }) => `${path} ${rowAndColumn(patch, grid)} (${score.toFixed(2)})`)
            .join('; '),
        ]);
        const titles = [
          'run',
          'checkpoint',
          'kept',
          ...(isOfMore ? [`as ${first}`] : []),
          'nearest patches of other images',
        ];
        out.result(rest, table(titles, rows));
      }),
    );
}

const ofPart = (command: Command) =>
  command
    .argument('<checkpoint>', 'number of a checkpoint, or run:NAME for the latest of a run')
    .requiredOption('--dataset <name>', 'dataset that is searched')
    .option('--part <part>', 'whose features: student, teacher, or untrained (else the teacher’s, where there is one)');

const features = (command: Command) =>
  ofPart(command)
    .option(
      '--feature <feature>',
      'tokens (after the last LayerNorm), projector, or block-N; of whole images: mean, cls',
      'tokens',
    )
    .option(
      '--max-images <n>',
      'images in the index, at most, spread evenly; 0 for all',
      wholeNumber('--max-images', 0),
      0,
    );

function specOf(store: Store, options: Record<string, unknown>, checkpoint: string): RetrievalSpec {
  const checkpoint_id = findCheckpoint(store, checkpoint);
  const { config } = store.checkpoints.get(checkpoint_id);
  const part = (options.part ?? steadiestOf(config)) as RetrievalSpec['part'];
  if (!['student', 'teacher', 'untrained'].includes(part))
    throw new AppError('bad-input', `--part is student, teacher or untrained, not "${part}".`);
  requireNetwork(config, part);
  return {
    checkpoint_id,
    dataset_id: store.datasets.get(options.dataset as string).id,
    part,
    feature: options.feature as string,
    max_images: options.maxImages as number,
  };
}

/** @throws AppError bad-input unless one of --image and --file is given; not-found */
function asQuery(
  { store, out }: Pick<Context, 'store' | 'out'>,
  dataset: number,
  { image, from, file }: Record<string, unknown>,
): AlikeQuery['of'] {
  if ((image === undefined) === (file === undefined))
    throw new AppError('bad-input', 'Which image?', '', 'Give --image with a path in the dataset, or --file.');
  if (file === undefined) {
    const of = from === undefined ? dataset : store.datasets.get(from as string).id;
    return { image: findImage({ store, out }, of, image as string) };
  }
  const path = resolve(file as string);
  if (!existsSync(path)) throw new AppError('not-found', `There is no file ${path}.`, '', 'Check its path.');
  return { file: path, hash: createHash('sha256').update(readFileSync(path)).digest('hex') };
}

function viewWords({ results, searched, grid, path, patches }: RetrievalView): string {
  const place = (patch: number) => rowAndColumn(patch, grid).join(', ');
  return [
    `${printable(path)}, ${patches.length === 1 ? `patch at ${place(patches[0]!)}` : `${patches.length} patches`}`,
    table(
      ['score', 'image', 'row, column', 'class'],
      results.map(({ score, path, patch, label }) => [score.toFixed(3), path, place(patch), label ?? '']),
    ),
    searched.words,
  ].join('\n');
}
