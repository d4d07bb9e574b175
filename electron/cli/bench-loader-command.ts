import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { AppError } from '../../shared/errors.ts';
import { benchLoader, jpegNames } from '../bench/loader.ts';
import { type Target, targetOf } from '../files/outputs.ts';
import { withAbort, withOutput } from './context.ts';
import { wholeNumber } from './output.ts';
import { OutputOption } from './output-option.ts';
import { table } from './table.ts';

/** bench loader, beside the other benchmarks. */
export function addLoaderBench(bench: Command): void {
  bench
    .command('loader')
    .description(
      'images a second from JPEG to both views, as tools/reference/loader_torchvision.py measures torchvision',
    )
    .option('--image <pixels>', 'side of a view', wholeNumber('--image', 32), 224)
    .option('--files <n>', 'JPEGs of 500 by 375 pixels that are made', wholeNumber('--files', 1), 40)
    .option('--images <n>', 'images that are timed, after some to warm up', wholeNumber('--images', 1), 600)
    .option('--workers <n>', 'threads', wholeNumber('--workers', 1), 1)
    .option('--prepared', 'read them as `conmim prepare` keeps them, in place of decoding JPEGs')
    .addOption(
      new OutputOption('--folder <folder>', 'make the JPEGs here and leave them; else in a temporary folder', {
        also: (_, { files }) => jpegNames(files as number),
      }),
    )
    .option('--json', 'print one JSON document on standard output and nothing else')
    .option('--home <folder>', 'not needed here')
    .action(
      withOutput(async (out, _command, options) => {
        const { image, files, images, workers } = options as unknown as Record<string, number>;
        if (image! % 32 !== 0)
          throw new AppError(
            'bad-input',
            `--image is a multiple of 32, not ${image}.`,
            'The published masks are made of units of 32 pixels.',
            `Use ${Math.max(32, Math.round(image! / 32) * 32)}.`,
          );
        const kept = options.folder as Target | undefined;
        const folder = kept === undefined ? await mkdtemp(join(tmpdir(), 'conmim-bench-')) : targetOf(kept).path;
        try {
          const result = await withAbort((signal) =>
            benchLoader({
              folder,
              side: image!,
              files: files!,
              images: images!,
              workers: workers!,
              signal,
              prepared: options.prepared === true,
              onProgress: (done, total) => out.progress(`${done} of ${total} images`),
            }),
          );
          const words = Object.entries(result).map(([key, value]) => [
            key,
            typeof value === 'number' ? Number(value.toPrecision(4)) : (value ?? 'no'),
          ]);
          out.result(result, table(['', ''], words));
        } finally {
          if (kept === undefined) await rm(folder, { recursive: true, force: true });
        }
      }),
    );
}
