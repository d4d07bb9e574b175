import { type Command, Option } from 'commander';
import { AppError } from '../../shared/errors.ts';
import {
  benchConfig,
  median,
  PRECISIONS,
  type Precision,
  peakResident,
  type StepBench,
  timeSteps,
} from '../services/bench-step.ts';
import { loadBackend } from '../trainer/backend.ts';
import { withOutput } from './context.ts';
import { wholeNumber } from './output.ts';
import { table } from './words.ts';

/** bench step, beside the other benchmarks. */
export function addStepBench(bench: Command): void {
  bench
    .command('step')
    .description('speed and memory of a whole training step, as tools/reference/conmim_torch.py measures PyTorch')
    .option('--model <name>', 'vit-tiny, vit-small, vit-base or vit-large', 'vit-small')
    .option('--image <pixels>', 'side of an image', wholeNumber('--image', 2), 224)
    .option('--patch <pixels>', 'side of a patch', wholeNumber('--patch', 1), 16)
    .option('--batch <n>', 'images of a step', wholeNumber('--batch', 2), 8)
    .option('--steps <n>', 'steps that are timed, after one to warm up', wholeNumber('--steps', 1), 4)
    .addOption(
      new Option('--precision <name>', 'how products are computed').choices(PRECISIONS).default('fp32' as Precision),
    )
    .option('--recompute', 'compute blocks again on the way back: less memory, the same numbers')
    .option('--json', 'print one JSON document on standard output and nothing else')
    .option('--home <folder>', 'not needed here')
    .action(
      withOutput(async (out, _command, options) => {
        const { model, image, patch, batch, steps } = options as unknown as Record<string, number> & {
          model: string;
        };
        const { precision, recompute = false } = options as { precision: Precision; recompute?: boolean };
        const config = benchConfig(model, image!, patch!);
        const backend = await loadBackend();
        if (precision !== 'fp32' && backend.name !== 'tensorflow')
          throw new AppError(
            'bad-input',
            `${precision} needs TensorFlow.`,
            `${backend.name} computes here, in fp32 alone.`,
            'Leave --precision out, or run `npm run setup`.',
          );
        out.progress(`${steps! + 1} steps of ${batch} images`);
        const seconds = timeSteps(config, batch!, steps!, { precision, recompute });
        const result: StepBench = {
          engine: `conmim ${backend.name}`,
          device: backend.device,
          ...{ model, image: image!, batch: batch!, precision, ...(recompute && { recompute }) },
          images_per_second: batch! / median(seconds),
          best_images_per_second: batch! / Math.min(...seconds),
          peak_memory_gb: peakResident() / 1e9,
        };
        const words = Object.entries(result).map(([key, value]) => [
          key,
          typeof value === 'number' ? Number(value.toPrecision(4)) : value,
        ]);
        out.result(result, table(['', ''], words));
      }),
    );
}
