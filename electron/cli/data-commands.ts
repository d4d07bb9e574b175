import type { Command } from 'commander';
import { suggested } from '../../shared/command.ts';
import type { Dataset } from '../../shared/dataset.ts';
import { AppError } from '../../shared/errors.ts';
import type { NotImported } from '../../shared/not-imported.ts';
import { notImportedParts } from '../../shared/not-imported.ts';
import { printable } from '../../shared/printable.ts';
import { dayAndTime, plural } from '../../shared/words.ts';
import { importDataset } from '../services/datasets/datasets.ts';
import { sweepPrepared } from '../services/datasets/prepared-files.ts';
import { labelNotices } from '../trainer/labelled.ts';
import { withStore } from './context.ts';
import { wholeNumber } from './output.ts';
import { table } from './table.ts';

const imagesText = (n: number) => plural(n, 'image');

/** What was found and left out, and what of usable files is not seen, in lines. */
const leftLines = (left: NotImported | null, notes: { note: string; count: number }[]): string[] => [
  ...(left ? notImportedParts(left).map((part) => printable(`Left out: ${part}.`)) : []),
  ...notes.map(({ note, count }) => `Note on ${imagesText(count)}: ${note}.`),
];

/** import, datasets, dataset. */
export function addDataCommands(program: Command): void {
  program
    .command('import')
    .description('import folders of images as a dataset, or find what changed in them; nothing is copied or changed')
    .argument('<folders...>', 'folders, searched with all that is below them')
    .requiredOption('--name <name>', 'name of the dataset')
    .option('--labels <kind>', 'folders: each folder below the imported one is a class (for evaluation only); none')
    .option('--min-side <pixels>', 'smaller images are skipped', wholeNumber('--min-side', 1))
    .option('--max-pixels <n>', 'images with more pixels are skipped', wholeNumber('--max-pixels', 1))
    .action(
      withStore<[string[]]>(async ({ out, store, signal }, options, folders) => {
        const labels = options.labels as Dataset['labels'] | undefined;
        if (labels !== undefined && labels !== 'none' && labels !== 'folders') {
          throw new AppError(
            'bad-input',
            `--labels is "folders" or "none", not "${labels}".`,
            '',
            'Did you mean "folders"?',
          );
        }
        const summary = await importDataset(store, {
          folders,
          name: options.name as string,
          ...(labels !== undefined && { labels }),
          ...(options.minSide !== undefined && { minSide: options.minSide as number }),
          ...(options.maxPixels !== undefined && { maxPixels: options.maxPixels as number }),
          onProgress: (p) =>
            out.progress(
              p.phase === 'finding'
                ? `${plural(p.found, 'file')} found`
                : `${p.done} of ${p.total} files, ${Math.round(p.perSecond)} files/s  ${p.current ?? ''}`,
            ),
          signal,
        });
        const dataset = store.datasets.get(summary.dataset.id);
        const skipped = store.images.skipSummary(dataset.id);
        const lines = [
          printable(`Dataset "${dataset.name}": ${imagesText(dataset.image_count)}.`),
          `${summary.added} added, ${summary.changed} changed, ${summary.vanished} vanished, ${summary.unchanged} unchanged.`,
          ...(skipped.length > 0
            ? [
                `Skipped: ${skipped.map((s) => `${s.count} ${s.reason}`).join(', ')}. ` +
                  `\`${suggested('dataset', [dataset.name], '--skipped', process.platform)}\` lists them.`,
              ]
            : []),
          ...leftLines(summary.left_out, summary.notes),
        ];
        const notices = labelNotices(store, dataset);
        out.result({ ...summary, dataset, skipped_by_reason: skipped, notices }, [...lines, ...notices].join('\n'));
      }),
    );

  program
    .command('datasets')
    .description('list datasets')
    .action(
      withStore(({ out, store }) => {
        const datasets = store.datasets.list();
        const rows = datasets.map((d) => [
          d.name,
          d.image_count,
          d.skipped_count,
          d.labels,
          dayAndTime(d.scanned_at),
          d.folders.join(', '),
        ]);
        out.result(
          datasets,
          datasets.length > 0
            ? table(['name', 'images', 'skipped', 'labels', 'scanned', 'folders'], rows)
            : 'No dataset yet: `conmim import FOLDER --name NAME` makes one.',
        );
      }),
    );

  program
    .command('dataset')
    .description('show a dataset: classes, and files that were skipped with the reason')
    .argument('<name>')
    .option('--skipped', 'list the skipped files')
    .action(
      withStore<[string]>(({ out, store }, options, name) => {
        const dataset = store.datasets.get(name);
        const classes = store.images.labels(dataset.id);
        const reasons = store.images.skipSummary(dataset.id);
        const notes = store.images.notes(dataset.id);
        const skipped = options.skipped ? store.images.list(dataset.id, { status: 'skipped' }) : [];
        const lines = [
          printable(`${dataset.name}: ${imagesText(dataset.image_count)} in ${dataset.folders.join(', ')}`),
          ...classes.map((c) => `  class ${printable(c.label)}: ${c.count}`),
          ...reasons.map((r) => `  skipped, ${r.reason}: ${r.count}`),
          ...leftLines(dataset.left_out, notes).map((line) => `  ${line}`),
          ...skipped.map((s) => printable(`  ${s.path}: ${s.reason}${s.detail ? ` (${s.detail})` : ''}`)),
        ];
        out.result(
          { ...dataset, classes, skipped_by_reason: reasons, notes, ...(options.skipped ? { skipped } : {}) },
          lines.join('\n'),
        );
      }),
    );

  program
    .command('delete-dataset')
    .description('forget a dataset; its files stay as they are')
    .argument('<name>')
    .action(
      withStore<[string]>(({ out, store }, _, name) => {
        const dataset = store.datasets.get(name);
        const used = store.datasets.runs(dataset.id);
        if (used.length > 0) {
          throw new AppError(
            'conflict',
            `Dataset "${name}" is used by ${plural(used.length, 'run')}.`,
            '',
            `Delete them first: \`conmim delete ${used[0]!}\`.`,
          );
        }
        const kept = store.evaluations.countOn(dataset.id);
        store.datasets.delete(dataset.id);
        sweepPrepared(store);
        const stays =
          kept === 0
            ? ''
            : ` ${kept === 1 ? 'One evaluation' : `${kept} evaluations`} on it ${kept === 1 ? 'is' : 'are'} kept with the runs.`;
        out.result(
          { deleted: dataset, evaluations_kept: kept },
          `Dataset "${name}" is forgotten; its files are as they were.${stays}`,
        );
      }),
    );
}
