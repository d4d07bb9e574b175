import type { Command } from 'commander';
import { parseRunConfig } from '../../methods/index.ts';
import { PREPARED_LIMITS } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import { preparedSize } from '../../shared/prepared.ts';
import { bytes, duration, plural } from '../../shared/words.ts';
import { measurePrepare, planPrepare, prepareDataset } from '../services/datasets/prepare.ts';
import { deletePrepared } from '../services/datasets/prepared-files.ts';
import { preparedStorage } from '../services/machine/storage.ts';
import { findPreset } from '../services/recipes/configuration.ts';
import { savedPresets } from '../services/recipes/presets.ts';
import type { Store } from '../store/store.ts';
import { withStore } from './context.ts';
import { wholeNumber } from './output.ts';
import { table } from './table.ts';

const HELP = `
A run with data.prepared set reads them instead of decoding its images. The
larger the images are, the more time that saves:

  conmim prepare photos --size 256
  conmim pretrain photos --set data.prepared=256

Every image is decoded, turned as its EXIF data says, and made smaller until
its shorter side has SIZE pixels (never larger), by Pillow's bicubic filter.
Random crops are then of the smaller image: the same boxes, scaled, and other
pixels than the published recipe has, which crops the image as it is. A crop
of a small part is enlarged from fewer pixels. The default, 256, is where the
mean crop of a photograph still has about the 224 pixels that the network
takes; another preset's is had by --preset. A larger SIZE keeps more and
takes more room.

Killed or canceled, it goes on where it was. After an import that found new or
changed images, prepare again: only these are read.`;

/** prepare, prepared. */
export function addPrepareCommands(program: Command): void {
  program
    .command('prepare')
    .description('keep a dataset’s images decoded and downsized in a few large files, so that runs load them quickly')
    .argument('<dataset>')
    .option(
      '--size <pixels>',
      'shorter side at most; else what fits the published recipes',
      wholeNumber('--size', PREPARED_LIMITS.min),
    )
    .option('--preset <name>', 'the size that fits this preset')
    .option('--estimate', 'say how many images, how much room and time it takes, and do nothing')
    .addHelpText('after', HELP)
    .action(
      withStore<[string]>(async ({ out, store, signal }, options, name) => {
        const dataset = store.datasets.get(name);
        const size = sizeFrom(store, options);
        const plan = planPrepare(store, { dataset: dataset.id, size });
        const room =
          `${plural(plan.images, 'image')} of "${dataset.name}" at ${size} pixels ` +
          `${plan.images === 1 ? 'takes' : 'take'} ${bytes(plan.bytes)}; ${bytes(plan.free)} are free.`;
        if (options.estimate) {
          out.progress('decoding some images');
          const perSecond = await measurePrepare(store, { dataset: dataset.id, size, signal });
          const seconds = perSecond === null ? null : plan.images / perSecond;
          const time =
            perSecond === null ? '' : ` About ${duration(seconds! * 1000)} at ${Math.round(perSecond)} images/s.`;
          const ready = plan.ready > 0 ? ` ${plan.ready} are prepared already.` : '';
          out.result({ ...plan, images_per_s: perSecond, seconds }, room + time + ready);
          return;
        }
        if (!out.json) out.note(room);
        let [began, what] = [0, ''];
        const summary = await prepareDataset(store, {
          dataset: dataset.id,
          size,
          signal,
          onProgress: (done, total, phase) => {
            if (phase !== what) [began, what] = [performance.now(), phase];
            const left = ((performance.now() - began) / Math.max(1, done)) * (total - done);
            out.progress(`${phase}: ${done} of ${total} images`, done > 0 ? `${duration(left)} left` : '');
          },
        });
        const { set, added, failures, failed, damaged, freed, seconds } = summary;
        const lines = [
          `${plural(added, 'image')} prepared in ${duration(seconds * 1000)}; ${set.images} of ${set.images + set.missing} are. Runs ` +
            `use them by --set data.prepared=${size}.`,
          ...(damaged > 0 ? [`${damaged} were damaged on the disk, and are prepared anew.`] : []),
          ...(freed > 0 ? [`${bytes(freed)} of images that changed or went were given back.`] : []),
          ...(failures > 0 ? [`${failures} could not be: ${failed[0]!.why} Import the dataset again.`] : []),
        ];
        out.result(summary, lines.join('\n'));
      }),
    );

  program
    .command('prepared')
    .description('list what was prepared, or delete it')
    .option('--delete <n>', 'delete what has this number, and free its space', wholeNumber('--delete', 1))
    .action(
      withStore(async ({ out, store }, options) => {
        if (options.delete !== undefined) deletePrepared(store, options.delete as number);
        const list = await preparedStorage(store, store.prepared.list());
        const rows = list.map(({ id, dataset, size, images, missing, bytes: n }) => [
          ...[id, dataset, `${size} px`, images],
          ...[missing === 0 ? '' : `${missing} missing`, bytes(n)],
        ]);
        out.result(
          list,
          list.length > 0
            ? table(['', 'dataset', 'size', 'images', '', 'on disk'], rows)
            : 'Nothing is prepared: `conmim prepare DATASET` does it.',
        );
      }),
    );
}

/** --size, what fits --preset, or what fits the published recipes. @throws AppError bad-input */
function sizeFrom(store: Store, { size, preset }: Record<string, unknown>): number {
  if (size !== undefined && preset !== undefined)
    throw new AppError('bad-input', 'Both --size and --preset say the size.', '', 'Leave one out.');
  if (size !== undefined) {
    if ((size as number) <= PREPARED_LIMITS.max) return size as number;
    const { max } = PREPARED_LIMITS;
    throw new AppError('bad-input', `--size is at most ${max}, not ${size}.`, '', `The nearest valid value is ${max}.`);
  }
  const config = preset === undefined ? {} : findPreset(preset as string, savedPresets(store)).config;
  return preparedSize(parseRunConfig(config));
}
