import { type Command, Option } from 'commander';
import type { BackendInfo } from '../../shared/backends.ts';
import { AppError } from '../../shared/errors.ts';
import {
  benchConfig,
  median,
  PRECISIONS,
  type Precision,
  peakResident,
  profileStep,
  type StepBench,
  timeSteps,
} from '../bench/step.ts';
import { loadBackend } from '../runtime/backend.ts';
import { withOutput } from './context.ts';
import { wholeNumber } from './output.ts';
import { table } from './table.ts';

/** What a step is measured on. */
interface StepOptions {
  model: string;
  image: number;
  patch: number;
  batch: number;
  steps: number;
  precision: Precision;
  recompute?: boolean;
}

/** A command of `bench` that runs training steps of a published model on noise. */
function stepCommand(bench: Command, name: string, description: string): Command {
  return bench
    .command(name)
    .description(description)
    .option('--model <name>', 'vit-tiny, vit-small, vit-base or vit-large', 'vit-small')
    .option('--image <pixels>', 'side of an image', wholeNumber('--image', 2), 224)
    .option('--patch <pixels>', 'side of a patch', wholeNumber('--patch', 1), 16)
    .option('--batch <n>', 'images of a step', wholeNumber('--batch', 2), 8)
    .addOption(
      new Option('--precision <name>', 'how products are computed').choices(PRECISIONS).default('fp32' as Precision),
    )
    .option('--recompute', 'compute blocks again on the way back: less memory, the same numbers')
    .option('--json', 'print one JSON document on standard output and nothing else')
    .option('--home <folder>', 'not needed here');
}

async function backendFor({ precision }: StepOptions): Promise<BackendInfo> {
  const backend = await loadBackend();
  if (precision !== 'fp32' && backend.name !== 'tensorflow')
    throw new AppError(
      'bad-input',
      `${precision} needs TensorFlow.`,
      `${backend.name} computes here, in fp32 alone.`,
      'Leave --precision out, or run `npm run setup`.',
    );
  return backend;
}

const wordsOf = (value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(4)) : value);

/** bench step and bench profile, beside the other benchmarks. */
export function addStepBench(bench: Command): void {
  stepCommand(
    bench,
    'step',
    'speed and memory of a whole training step, as tools/reference/conmim_torch.py measures PyTorch',
  )
    .option('--steps <n>', 'steps that are timed, after one to warm up', wholeNumber('--steps', 1), 4)
    .action(
      withOutput(async (out, _command, given) => {
        const options = given as unknown as StepOptions;
        const { model, image, patch, batch, steps, precision, recompute = false } = options;
        const config = benchConfig(model, image, patch);
        const backend = await backendFor(options);
        out.progress(`${steps + 1} steps of ${batch} images`);
        const seconds = timeSteps(config, batch, steps, { precision, recompute });
        const result: StepBench = {
          engine: `conmim ${backend.name}`,
          device: backend.device,
          ...{ model, image, batch, precision, ...(recompute && { recompute }) },
          images_per_second: batch / median(seconds),
          best_images_per_second: batch / Math.min(...seconds),
          peak_memory_gb: peakResident() / 1e9,
        };
        const words = Object.entries(result).map(([key, value]) => [key, wordsOf(value)]);
        out.result(result, table(['', ''], words as [string, string | number][]));
      }),
    );
  stepCommand(bench, 'profile', "which kernels a training step's time goes to").action(
    withOutput(async (out, _command, given) => {
      const options = given as unknown as StepOptions;
      const { model, image, patch, batch, precision, recompute = false } = options;
      const config = benchConfig(model, image, patch);
      const backend = await backendFor(options);
      out.progress(`two steps of ${batch} images`);
      const profile = profileStep(config, batch, { precision, recompute });
      if (!profile)
        throw new AppError(
          'bad-input',
          `Kernels of ${backend.name} cannot be timed one by one.`,
          '',
          'Run `npm run setup`: TensorFlow can.',
        );
      const { total_ms, operations } = profile;
      const inside = operations.reduce((sum, { ms }) => sum + ms, 0);
      const result = { engine: `conmim ${backend.name}`, device: backend.device, ...options, total_ms, operations };
      const rows = [...operations.slice(0, 20), { name: 'between kernels', calls: 1, ms: total_ms - inside }];
      out.result(
        result,
        table(
          ['kernel', 'calls', 'ms', 'share'],
          rows.map(({ name, calls, ms }) => [
            name,
            calls,
            Number(ms.toFixed(1)),
            `${((100 * ms) / total_ms).toFixed(1)} %`,
          ]),
        ),
      );
    }),
  );
}
