import type { Command } from 'commander';
import { gridOf, type ModelConfig, patchesOf } from '../../shared/config.ts';
import type { LookupAccuracy, LookupView } from '../../shared/contract/explore.ts';
import { AppError } from '../../shared/errors.ts';
import { leftOutWords } from '../../shared/left-out.ts';
import { rowAndColumn } from '../../shared/patches.ts';
import { printable } from '../../shared/printable.ts';
import { percent, plural } from '../../shared/words.ts';
import { type Target, targetOf } from '../files/outputs.ts';
import { loadBackend } from '../runtime/backend.ts';
import { Explorer } from '../services/explore/explore.ts';
import { drawLookups } from '../services/sheets/lookup.ts';
import { lookupViewSheet } from '../services/sheets/lookup-view.ts';
import type { Store } from '../store/store.ts';
import { imagesOf } from '../trainer/training-images.ts';
import { type Context, withStore } from './context.ts';
import { findCheckpoint } from './model-commands.ts';
import { wholeNumber } from './output.ts';
import { OutputOption } from './output-option.ts';
import { patchesFrom } from './patches.ts';
import { table } from './table.ts';

const SHEET_ROWS = 8;

/** lookups. */
export function addExploreCommands(program: Command): void {
  program
    .command('lookups')
    .description('where, and on what, look-ups of masked patches are right; of one image, every answer')
    .argument('<checkpoint>', 'number of a checkpoint, or run:NAME for the latest of a run')
    .requiredOption('--dataset <name>')
    .option('--images <n>', 'number of images that are asked', wholeNumber('--images', 2), 128)
    .option('--image <path>', 'one image of the dataset, by its path in its folder')
    .option(
      '--draw <n>',
      'which of the masks that the run’s generator draws (with --image)',
      wholeNumber('--draw', 0),
      0,
    )
    .option(
      '--mask <patches...>',
      'hide these patches instead (with --image): row,column from 1,1 at the top left, or rectangles, 2,3-4,5',
    )
    .option('--untrained', 'ask the network as it was before training (with --image)')
    .addOption(
      new OutputOption(
        '--png <file>',
        'also draw a contact sheet: of masked patches with their answers; with --image of all its look-ups, as heat maps',
        { endings: ['.png'], makesFolder: true },
      ),
    )
    .action(
      withStore<[string]>(async ({ out, store }, options, text) => {
        const checkpoint = findCheckpoint(store, text);
        const dataset = store.datasets.get(options.dataset as string).id;
        await loadBackend();
        const explorer = new Explorer(store);
        const image = options.image === undefined ? null : findImage({ store, out }, dataset, options.image as string);
        const { config } = store.checkpoints.get(checkpoint);
        const isUntrained = options.untrained === true;
        const mask = options.mask === undefined ? null : maskFrom(options.mask as string[], config.model);
        if (image === null && (mask || isUntrained))
          throw new AppError(
            'bad-input',
            `${mask ? '--mask' : '--untrained'} is for one image.`,
            'Over many images the run’s generator masks, and the untrained network is always asked too.',
            'Give --image.',
          );
        const result =
          image === null
            ? await explorer.accuracy({ checkpoint, dataset, images: options.images as number }, (done, total) =>
                out.progress(`${done} of ${total} images`),
              )
            : await explorer.lookup({ checkpoint, image, mask, draw: options.draw as number, untrained: isUntrained });
        const target = options.png as Target | undefined;
        if (target && 'places' in result) await draw(store, checkpoint, dataset, target);
        else if (target && !('places' in result))
          await lookupViewSheet(result, isUntrained ? 'Untrained' : text, target);
        const sheet = target === undefined ? null : targetOf(target).path;
        const words = 'places' in result ? accuracyWords(result) : viewWords(result);
        out.result({ ...result, contact_sheet: sheet }, sheet ? `${words}\nContact sheet: ${sheet}` : words);
      }),
    );
}

/** Hides patches that were named. @throws AppError bad-input */
export function maskFrom(texts: readonly string[], model: ModelConfig): boolean[] {
  const mask = Array<boolean>(patchesOf(model)).fill(false);
  for (const text of texts) for (const patch of patchesFrom(text, gridOf(model), '--mask')) mask[patch] = true;
  return mask;
}

/**
 * The usable image with this path in its folder, exact or as it is displayed. Failing that, the first whose path contains
 * it; a note says so where there are several.
 * @throws AppError not-found
 */
export function findImage({ store, out }: Pick<Context, 'store' | 'out'>, dataset: number, path: string): number {
  const named = path === '' ? null : store.images.named(dataset, path);
  if (named !== null) return named;
  const { total, images } = store.images.page(dataset, {
    offset: 0,
    limit: 1,
    status: 'ok',
    label: null,
    reason: null,
    search: path,
    sort: 'path',
    descending: false,
  });
  const [first] = images;
  if (!first || path === '')
    throw new AppError('not-found', `The dataset has no usable image "${path}".`, '', 'Give its path in its folder.');
  if (total > 1)
    out.note(`${total} images have "${printable(path)}" in their path; the first is taken: ${printable(first.path)}.`);
  return first.id;
}

async function draw(store: Store, checkpoint: number, datasetId: number, out: Target): Promise<void> {
  const { config, step } = store.checkpoints.get(checkpoint);
  const images = imagesOf(store, store.datasets.get(datasetId), () => true).slice(0, 2 * SHEET_ROWS);
  await drawLookups({
    config,
    student: store.checkpoints.load(checkpoint, 'student'),
    teacher: store.checkpoints.load(checkpoint, 'teacher'),
    images: images.map(({ path }) => ({ path, title: path.split(/[\\/]/).at(-1)! })),
    rows: SHEET_ROWS,
    seed: 1,
    caption: `step ${step}`,
    out,
  });
}

function accuracyWords({ grid, images, left_out, trained, untrained, content, places }: LookupAccuracy): string {
  const row = (y: number) =>
    places
      .slice(y * grid, (y + 1) * grid)
      .map(({ top1 }) => (top1 === null ? '  –' : `${Math.round(top1 * 100)}`.padStart(3)))
      .join(' ');
  return [
    `Over ${plural(images, 'image')} look-ups find ${percent(trained.top1)}; asked for another image's keys, ` +
      `${percent(trained.control)}: content is worth ${percent(trained.top1 - trained.control)}.`,
    ...(left_out.length > 0 ? [leftOutWords(left_out, images + left_out.length)] : []),
    `Untrained: ${percent(untrained.top1)} and ${percent(untrained.control)}; chance ${percent(1 / grid ** 2)}.`,
    '',
    'Found by place, percent:',
    ...Array.from({ length: grid }, (_, y) => row(y)),
    '',
    table(
      ['patches', 'brightness varies by', 'found', 'control', 'n'],
      content.map((quarter, i) => [
        ['plainest quarter', 'second', 'third', 'richest quarter'][i]!,
        `${quarter.from.toFixed(0)} to ${quarter.to.toFixed(0)}`,
        percent(quarter.top1),
        percent(quarter.control),
        quarter.n,
      ]),
    ),
  ].join('\n');
}

function viewWords({ path, grid, answers, step, how }: LookupView): string {
  const right = answers.filter(({ rank }) => rank === 1).length;
  const place = (patch: number) => rowAndColumn(patch, grid).join(', ');
  return [
    `${printable(path)}, step ${step}: ${right} of ${answers.length} masked patches found. ${how}`,
    table(
      ['row, column', 'rank', 'found at', 'probability', 'of the true place', 'entropy'],
      answers.map(({ patch, rank, top5, chances, entropy }) => [
        place(patch),
        rank,
        place(top5[0]!),
        percent(chances[top5[0]!]! / 10_000),
        percent(chances[patch]! / 10_000),
        entropy.toFixed(2),
      ]),
    ),
  ].join('\n');
}
