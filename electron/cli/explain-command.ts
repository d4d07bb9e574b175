import type { Command } from 'commander';
import { methodOf } from '../../methods/index.ts';
import type { ExplainView } from '../../shared/contract/explore.ts';
import { printable } from '../../shared/printable.ts';
import { count } from '../../shared/words.ts';
import { type Target, targetOf } from '../files/outputs.ts';
import { loadBackend } from '../runtime/backend.ts';
import { Explanations } from '../services/explore/explain.ts';
import { explainSheet } from '../services/sheets/explain.ts';
import { withStore } from './context.ts';
import { findImage, maskFrom } from './explore-commands.ts';
import { findCheckpoint } from './model-commands.ts';
import { wholeNumber } from './output.ts';
import { OutputOption } from './output-option.ts';
import { table } from './table.ts';

/** explain. */
export function addExplainCommand(program: Command): void {
  program
    .command('explain')
    .description('what only a run’s method can be asked of an image, beside the network before training')
    .argument('<checkpoint>', 'number of a checkpoint, or run:NAME for the latest of a run')
    .requiredOption('--dataset <name>')
    .requiredOption('--image <path>', 'image of the dataset, by its path in its folder')
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
        const image = findImage({ store, out }, dataset, options.image as string);
        const mask = options.mask === undefined ? null : maskFrom(options.mask as string[], config.model);
        await loadBackend();
        const explanations = new Explanations(store);
        const ask = async (untrained: boolean) => {
          const view = await explanations.explain({
            ...{ checkpoint, image, key, mask, draw: options.draw as number, untrained },
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

/** What the answer is of beside the image: patches of it that are hidden, or other images. */
function whatIsAsked({ mask, batch }: ExplainView): string {
  if (batch.length > 0) return `, among ${batch.length} images`;
  return `, ${mask.filter(Boolean).length} patches hidden`;
}
