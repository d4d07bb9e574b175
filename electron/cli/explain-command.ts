import type { Command } from 'commander';
import { methodOf } from '../../methods/index.ts';
import type { ExplainView } from '../../shared/contract/explore.ts';
import type { Input } from '../../shared/contract/index.ts';
import { AppError } from '../../shared/errors.ts';
import type { GroupsAnswer } from '../../shared/method.ts';
import { printable } from '../../shared/printable.ts';
import { count, plural } from '../../shared/words.ts';
import { type Target, targetOf } from '../files/outputs.ts';
import { loadBackend } from '../runtime/backend.ts';
import { Explanations } from '../services/explore/explain.ts';
import { explainSheet } from '../services/sheets/explain.ts';
import { type Context, withStore } from './context.ts';
import { findImage, maskFrom } from './explore-commands.ts';
import { findCheckpoint } from './model-commands.ts';
import { wholeNumber } from './output.ts';
import { OutputOption } from './output-option.ts';
import { table } from './table.ts';

/** explain. */
export function addExplainCommand(program: Command): void {
  program
    .command('explain')
    .description('what only a run’s method can be asked of an image or of many, beside the network before training')
    .argument('<checkpoint>', 'number of a checkpoint, or run:NAME for the latest of a run')
    .requiredOption('--dataset <name>')
    .option(
      '--image <path>',
      'image of the dataset, by its path in its folder; where many are sorted, the one that comes first',
    )
    .option('--images <n>', 'where many are sorted (prototypes, classes): of so many', wholeNumber('--images', 2), 128)
    .option('--view <key>', 'which of the method’s explanations (else its first)')
    .option('--draw <n>', 'which of the masks that the run’s generator draws', wholeNumber('--draw', 0), 0)
    .option(
      '--mask <patches...>',
      'hide these patches instead: row,column from 1,1 at the top left, or rectangles, 2,3-4,5',
    )
    .addOption(
      new OutputOption('--png <file>', 'also draw its pictures and maps, a row for each network', {
        endings: ['.png'],
        makesFolder: true,
      }),
    )
    .action(
      withStore<[string]>(async ({ out, store }, options, text) => {
        const checkpoint = findCheckpoint(store, text);
        const { config, run_id } = store.checkpoints.get(checkpoint);
        const { explains } = methodOf(config);
        const key = (options.view as string | undefined) ?? explains[0]?.key ?? '';
        const dataset = store.datasets.get(options.dataset as string).id;
        const named = options.image as string | undefined;
        const found = named === undefined ? null : findImage({ store, out }, dataset, named);
        const sorted = explains.find((one) => one.key === key)?.groups;
        if (sorted) {
          if (options.png !== undefined) throw new AppError('bad-input', '--png is for what is asked of one image.');
          const input = { checkpoint, dataset, image: found, key, images: Math.min(1024, options.images as number) };
          return sort({ store, out }, input, sorted);
        }
        if (found === null) throw new AppError('bad-input', 'Which image?', '', 'Name one with --image.');
        const image = found;
        const mask = options.mask === undefined ? null : maskFrom(options.mask as string[], config.model);
        await loadBackend();
        const explanations = new Explanations(store);
        const ask = async (untrained: boolean) => {
          const view = await explanations.explain({
            checkpoint,
            image,
            key,
            mask,
            draw: options.draw as number,
            untrained,
          });
          return { name: untrained ? 'before training' : `step ${count(view.step)}`, view };
        };
        const networks = [await ask(false), await ask(true)];
        const { title, answer } = explains.find((one) => one.key === key)!;
        const png = options.png as Target | undefined;
        if (png !== undefined) await explainSheet(`${title}, ${store.runs.get(run_id).name}`, answer!, networks, png);
        const sheet = png === undefined ? null : targetOf(png).path;
        const bare = ({ picture: _, pictures: __, batch, ...rest }: ExplainView) => ({
          ...rest,
          batch: batch.map(({ views: ___, ...one }) => one),
        });
        out.result(
          { networks: networks.map(({ name, view }) => ({ name, ...bare(view) })), contact_sheet: sheet },
          [
            `${printable(networks[0]!.view.path)}${whatIsAsked(networks[0]!.view)}.`,
            table(
              ['network', ...answer!.figures.map((one) => one.title)],
              networks.map(({ name, view }) => [
                name,
                ...answer!.figures.map((one) => view.figures[one.key]!.toFixed(one.digits)),
              ]),
            ),
            networks[0]!.view.words,
            ...(sheet ? [`Contact sheet: ${sheet}`] : []),
          ].join('\n'),
        );
      }),
    );
}

/** What the answer is of beside the image: patches of it that are hidden, other images, or nothing but crops of its own. */
function whatIsAsked({ mask, batch }: ExplainView): string {
  if (batch.length > 0) return batch.length > 1 ? `, among ${plural(batch.length, 'image')}` : '';
  return `, ${plural(mask.filter(Boolean).length, 'patch', 'patches')} hidden`;
}

/** Prints what many images, or their patches, are sorted into. */
async function sort(
  { store, out }: Pick<Context, 'store' | 'out'>,
  input: Omit<Input<'explore.groups'>, 'untrained'>,
  { one, many, of }: GroupsAnswer,
): Promise<void> {
  await loadBackend();
  const explanations = new Explanations(store);
  const views = [
    await explanations.groups({ ...input, untrained: false }),
    await explanations.groups({ ...input, untrained: true }),
  ] as const;
  const names = [`step ${count(views[0].step)}`, 'before training'];
  const withoutPictures = views.map(({ shown, ...view }, i) => ({
    network: names[i],
    ...view,
    shown: shown.map(({ nearest, ...group }) => ({
      ...group,
      nearest: nearest.map(({ patch, hash: _, ...row }) => ({ ...row, patch: patch?.place ?? null })),
    })),
  }));
  out.result(
    { networks: withoutPictures },
    [
      `${plural(views[0].images, 'image')}${of === 'patches' ? `, ${plural(views[0].rows, 'patch', 'patches')}` : ''}.`,
      table(
        ['network', `${many} in use`, 'of', 'as if so many were used alike'],
        views.map(({ used, groups, perplexity }, i) => [names[i]!, count(used), count(groups), perplexity.toFixed(1)]),
      ),
      table(
        [one, of, 'nearest'],
        views[0].shown.map(({ group, count: size, nearest }) => [
          count(group),
          count(size),
          nearest
            .slice(0, 3)
            .map(({ path }) => printable(path))
            .join(', '),
        ]),
      ),
    ].join('\n'),
  );
}
