import { type Command, Option } from 'commander';
import { gridOf } from '../../shared/config.ts';
import type { AttentionView, ColoursView, MapView } from '../../shared/contract/explore.ts';
import { AppError } from '../../shared/errors.ts';
import { leftOutWords } from '../../shared/left-out.ts';
import { printable } from '../../shared/printable.ts';
import { percent } from '../../shared/words.ts';
import { type Target, targetOf } from '../files/outputs.ts';
import { loadBackend } from '../runtime/backend.ts';
import { storedMap } from '../services/explore/feature-map.ts';
import { FeatureViews } from '../services/explore/features.ts';
import { runJob } from '../services/ground/jobs.ts';
import { centrePng } from '../services/ground/pictures.ts';
import { attentionSheet, coloursSheet, mapSheet } from '../services/sheets/feature.ts';
import { fileOf } from '../store/image-file.ts';
import type { Store } from '../store/store.ts';
import { withStore } from './context.ts';
import { findImage } from './explore-commands.ts';
import { findCheckpoint } from './model-commands.ts';
import { type Output, wholeNumber } from './output.ts';
import { OutputOption } from './output-option.ts';
import { table } from './table.ts';

/** Images that are tried where none is named. */
const TRIED = 16;

interface Options {
  dataset: string;
  view: 'colours' | 'attention' | 'map';
  out: Target;
  network: 'student' | 'teacher';
  untrained?: boolean;
  image?: string;
  images: number;
  block?: number;
  foreground?: 'upper' | 'lower';
  threshold: number;
  patch?: [number, number];
  pool: 'mean' | 'cls';
}
interface Asked {
  store: Store;
  out: Output;
  signal: AbortSignal;
  checkpoint: number;
  dataset: number;
  options: Options;
  target: Target;
  /** Path of `target`. */
  file: string;
  /** Run and network, as sheets name them. */
  name: string;
}

/** features. */
export function addFeatureCommands(program: Command): void {
  program
    .command('features')
    .description('what features look like: patch tokens as colours, attention of every head, a map of a dataset')
    .argument('<checkpoint>', 'number of a checkpoint, or run:NAME for the latest of a run')
    .requiredOption('--dataset <name>')
    .addOption(new Option('--view <view>').choices(['colours', 'attention', 'map']).makeOptionMandatory())
    .addOption(
      new OutputOption('--out <file>', 'a PNG file: the contact sheet, or the map with thumbnails', {
        endings: ['.png'],
        makesFolder: true,
      }).makeOptionMandatory(),
    )
    .addOption(new Option('--network <which>').choices(['student', 'teacher']).default('student'))
    .option('--untrained', 'the network as it was before training (colours show it beside in any case)')
    .option('--image <path>', 'one image of the dataset, by its path in its folder (attention, colours: the first)')
    .option(
      '--images <n>',
      'number of images that are coloured, on one basis (at most 64)',
      wholeNumber('--images', 1),
      16,
    )
    .option('--block <n>', 'tokens after this block, from 1 (colours; else after the last)', wholeNumber('--block', 1))
    .addOption(
      new Option(
        '--foreground <side>',
        'colours only patches on this side of the threshold on the first component',
      ).choices(['upper', 'lower']),
    )
    .option('--threshold <share>', 'as a share of the range of the first component, 0 to 1', shareOption, 0.5)
    .option('--patch <row,column>', 'the patch whose attention is shown, from 1 (else that of CLS)', placeOption)
    .addOption(new Option('--pool <which>', "an image's feature (map)").choices(['mean', 'cls']).default('mean'))
    .action(
      withStore<[string]>(async ({ out, store, signal }, given, text) => {
        const options = given as unknown as Options;
        const checkpoint = findCheckpoint(store, text);
        const dataset = store.datasets.get(options.dataset).id;
        const target = options.out;
        const file = targetOf(target).path;
        if (options.view !== 'map') await loadBackend();
        const { run_id, step } = store.checkpoints.get(checkpoint);
        const network = options.untrained ? 'before training' : `${options.network}, step ${step}`;
        const name = `${store.runs.get(run_id).name}, ${network}`;
        await VIEWS[options.view]({ store, out, signal, checkpoint, dataset, options, target, file, name });
      }),
    );
}

const VIEWS = { colours, attention, map };

async function colours({ store, out, checkpoint, dataset, options, target, file, name }: Asked): Promise<void> {
  if (options.images > 64)
    throw new AppError('bad-input', '--images is at most 64.', '', 'The nearest valid value is 64.');
  const views = new FeatureViews(store);
  const ask = (untrained: boolean): Promise<ColoursView> =>
    views.colours({
      checkpoint,
      dataset,
      untrained,
      part: options.network,
      images: options.images,
      image: options.image === undefined ? null : findImage({ store, out }, dataset, options.image),
      block: options.block ?? null,
      foreground: options.foreground ? { side: options.foreground, threshold: options.threshold } : null,
    });
  const view = await ask(options.untrained === true);
  const all = [{ name, view }, ...(options.untrained ? [] : [{ name: 'Untrained', view: await ask(true) }])];
  const side = store.checkpoints.get(checkpoint).config.model.image_size;
  const { folders } = store.datasets.get(dataset);
  const pictures = view.images.map(({ id }) => {
    const { folder, path } = store.images.get(id);
    return centrePng(fileOf({ folders }, { folder, path }), side);
  });
  await coloursSheet(all, await Promise.all(pictures), target);
  const figures = all.map(({ name, view: { images: _, ...rest } }) => ({ name, ...rest }));
  out.result(
    { networks: figures, images: view.images.map(({ id, path }) => ({ id, path })), contact_sheet: file },
    [
      `Of ${view.images.length} images, after block ${view.block} of ${view.depth}, share of the variance of patch tokens:`,
      table(
        ['network', 'red', 'green', 'blue', 'patches coloured'],
        all.map(({ name, view: { explained, coloured, patches } }) => [
          name,
          ...[0, 1, 2].map((c) => percent(explained[c])),
          `${coloured} of ${patches}`,
        ]),
      ),
      ...(view.left_out.length > 0 ? [leftOutWords(view.left_out, view.images.length + view.left_out.length)] : []),
      `Contact sheet: ${file}`,
    ].join('\n'),
  );
}

/** Of a few images of a dataset the first that can be read. */
async function firstReadable(store: Store, dataset: number): Promise<number | undefined> {
  const { folders } = store.datasets.get(dataset);
  const some = store.images.sample(dataset, TRIED);
  for (const { id, folder, path } of some)
    if (await centrePng(fileOf({ folders }, { folder, path }), 16).catch(() => null)) return id;
  return some[0]?.id;
}

async function attention({ store, out, checkpoint, dataset, options, target, file, name }: Asked): Promise<void> {
  const image =
    options.image === undefined
      ? await firstReadable(store, dataset)
      : findImage({ store, out }, dataset, options.image);
  if (image === undefined) throw new AppError('bad-input', 'The dataset has no usable image.');
  const grid = gridOf(store.checkpoints.get(checkpoint).config.model);
  const [row, column] = options.patch ?? [null, null];
  if (row !== null && Math.max(row, column!) > grid)
    throw new AppError('bad-input', `There is no patch ${row},${column}.`, `An image has ${grid} rows and columns.`);
  const view: AttentionView = await new FeatureViews(store).attention({
    checkpoint,
    image,
    part: options.network,
    untrained: options.untrained === true,
    patch: row === null ? null : (row - 1) * grid + column! - 1,
  });
  await attentionSheet(view, name, target);
  const { picture: _, ...rest } = view;
  out.result(
    { ...rest, contact_sheet: file },
    [
      `${printable(`${view.path}, ${name}`)}: where ${row === null ? 'CLS' : `patch ${row},${column}`} looks, by ` +
        `block. Entropy of looking everywhere alike: ${Math.log(grid ** 2 + 1).toFixed(2)}.`,
      table(
        ['block', 'to CLS', 'entropy', 'how far patches look'],
        view.blocks.map((heads, block) => {
          const mean = (of: 'cls' | 'entropy' | 'distance') => heads.reduce((sum, h) => sum + h[of], 0) / heads.length;
          return [
            block + 1,
            percent(mean('cls')),
            mean('entropy').toFixed(2),
            `${mean('distance').toFixed(2)} patches`,
          ];
        }),
      ),
      `Contact sheet: ${file}`,
    ].join('\n'),
  );
}

async function map({ store, out, signal, checkpoint, dataset, options, target, file, name }: Asked): Promise<void> {
  const ask = { checkpoint, dataset, part: options.network, untrained: options.untrained === true, pool: options.pool };
  const onProgress = (done: number, total: number, phase: string) =>
    out.progress(total > 0 ? `${phase}: ${done} of ${total}` : `${phase} …`);
  // In a process of its own: laying the map out blocks its process for long.
  if (!storedMap(store, ask)) await runJob('map', { database: store.path, input: ask }, { onProgress, signal });
  const view: MapView = storedMap(store, ask)!;
  const { folders } = store.datasets.get(dataset);
  const picture = (id: number) => {
    const { folder, path } = store.images.get(id);
    return centrePng(fileOf({ folders }, { folder, path }), 64).catch(() => null);
  };
  await mapSheet(view, name, picture, target);
  const { k, n, sample, trustworthiness, kept } = view.figures;
  out.result(
    { ...view, map: file },
    [
      `${view.ids.length} of ${view.total} images${view.unreadable > 0 ? `, ${view.unreadable} could not be read` : ''}.`,
      ...(view.left_out.length > 0 ? [leftOutWords(view.left_out, view.total)] : []),
      `Trustworthiness ${trustworthiness.toFixed(3)} (1: every neighbour on the map is one by features; k ${k}, of ${sample} images).`,
      `${percent(kept)} of the ${k} nearest by features are the nearest on the map; by chance ${percent(k / (n - 1))}.`,
      `Map: ${file}`,
    ].join('\n'),
  );
}

function shareOption(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 1))
    throw new AppError('bad-input', `--threshold is from 0 to 1, not "${text}".`, '', 'The middle is 0.5.');
  return value;
}

function placeOption(text: string): [number, number] {
  const [, row, column] = /^([1-9]\d*),([1-9]\d*)$/.exec(text) ?? [];
  if (!row)
    throw new AppError('bad-input', `--patch is a row and a column from 1, not "${text}".`, '', 'Write it as 3,5.');
  return [Number(row), Number(column)];
}
