import type { Command } from 'commander';
import { leftOutWords } from '../../shared/left-out.ts';
import { type Target, targetOf } from '../files/outputs.ts';
import { loadBackend } from '../runtime/backend.ts';
import { HEALTH_IMAGES } from '../services/health/health.ts';
import { HEALTH_ENDINGS, writeHealthReport } from '../services/health/report.ts';
import { withStore } from './context.ts';
import { findCheckpoint } from './model-commands.ts';
import { wholeNumber } from './output.ts';
import { OutputOption } from './output-option.ts';

/** health. */
export function addHealthCommand(program: Command): void {
  program
    .command('health')
    .description('look for collapse and short cuts in a checkpoint, beside its untrained network: one HTML file')
    .argument('<checkpoint>', 'number of a checkpoint, or run:NAME for the latest of a run')
    .requiredOption('--dataset <name>')
    .addOption(
      new OutputOption('--out <file>', 'an .html file; it needs nothing beside it', {
        endings: HEALTH_ENDINGS,
        makesFolder: true,
      }).makeOptionMandatory(),
    )
    .option('--images <n>', 'images that are looked at, at most', wholeNumber('--images', 4), HEALTH_IMAGES)
    .action(
      withStore<[string]>(async ({ out, store, signal }, options, checkpoint) => {
        const { path: file, replace } = targetOf(options.out as Target);
        await loadBackend();
        const report = await writeHealthReport(
          store,
          {
            file,
            replace,
            checkpoint: findCheckpoint(store, checkpoint),
            dataset: options.dataset as string,
            images: options.images as number,
          },
          { signal, onProgress: (done, total, what) => out.progress(`${what}: ${done} of ${total} images`) },
        );
        const words = report.findings.map(({ level, title, text }) => `${level}: ${title}.\n  ${text}`);
        const lost = leftOutWords(report.left_out, report.images + report.left_out.length);
        out.result(report, [...words, ...(lost ? [lost] : []), `Report: ${file}`].join('\n'));
      }),
    );
}
