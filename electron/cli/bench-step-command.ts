import { type Command, Option } from 'commander';
import type { BackendInfo } from '../../shared/backends.ts';
import { AppError } from '../../shared/errors.ts';
import { percent } from '../../shared/words.ts';
import { timeAgainst } from '../bench/method.ts';
import {
  type BenchChoice,
  benchConfig,
  firstConfig,
  median,
  PRECISIONS,
  type Precision,
  peakResident,
  profileStep,
  type StepBench,
  timeSteps,
  trainedNumbers,
  workOf,
} from '../bench/step.ts';
import { loadBackend } from '../runtime/backend.ts';
import { requireMethod } from '../services/recipes/configuration.ts';
import { withOutput } from './context.ts';
import { wholeNumber } from './output.ts';
import { table } from './table.ts';

/** How steps are computed. */
interface HowOptions {
  precision: Precision;
  recompute?: boolean;
}

/** What a step is measured on. */
interface StepOptions extends HowOptions, Partial<BenchChoice> {
  set: string[];
}

/** Where no method is named, and for a command that says so: a published model. */
const PUBLISHED = { model: 'vit-small', image: 224, patch: 16, batch: 8 };

/** A command of `bench` that runs training steps on noise. @param sizes of which size where none is named */
function stepCommand(bench: Command, name: string, description: string, sizes: Partial<typeof PUBLISHED>): Command {
  return bench
    .command(name)
    .description(description)
    .option('--model <name>', 'vit-tiny, vit-small, vit-base or vit-large', sizes.model)
    .option('--image <pixels>', 'side of an image', wholeNumber('--image', 2), sizes.image)
    .option('--patch <pixels>', 'side of a patch', wholeNumber('--patch', 1), sizes.patch)
    .option('--batch <n>', 'images of a step', wholeNumber('--batch', 2), sizes.batch)
    .option('--set <settings...>', 'further settings, KEY=VALUE', [])
    .addOption(
      new Option('--precision <name>', 'how products are computed').choices(PRECISIONS).default('fp32' as Precision),
    )
    .option('--recompute', 'compute blocks again on the way back: less memory, the same numbers')
    .option('--json', 'print one JSON document on standard output and nothing else')
    .option('--home <folder>', 'not needed here');
}

/** A command of which a method may be named: then all that is left out is as its default preset has it. */
const methodCommand = (bench: Command, name: string, description: string): Command =>
  stepCommand(bench, name, description, {}).option(
    '--method <name>',
    `in the sizes of its default preset; without it the first method's ${PUBLISHED.model} on ${PUBLISHED.image} pixels, batch ${PUBLISHED.batch}`,
  );

function configOf({ method, model, image, patch, batch, set }: StepOptions) {
  const choice = { model, image, patch, batch, set };
  if (method !== undefined) return benchConfig({ ...choice, method });
  const known = Object.fromEntries(Object.entries(choice).filter(([, value]) => value !== undefined));
  return firstConfig({ ...PUBLISHED, ...known });
}

async function backendFor({ precision }: HowOptions): Promise<BackendInfo> {
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

/** bench step, bench method and bench profile, beside the other benchmarks. */
export function addStepBench(bench: Command): void {
  methodCommand(
    bench,
    'step',
    'speed and memory of a whole training step, as tools/reference/step_torch.py measures PyTorch',
  )
    .option('--steps <n>', 'steps that are timed, after one to warm up', wholeNumber('--steps', 1), 4)
    .action(
      withOutput(async (out, _command, given) => {
        const options = given as unknown as StepOptions & { steps: number };
        const { precision, recompute = false, steps } = options;
        const config = configOf(options);
        const { batch_size: batch } = config.train;
        const { name: method } = config.method;
        const backend = await backendFor(options);
        out.progress(`${steps + 1} steps of ${batch} images`);
        const { seconds, cpu_seconds, flops_per_image } = timeSteps(config, batch, steps, { precision, recompute });
        const { work, ...result }: StepBench = {
          engine: `conmim ${backend.name}`,
          device: backend.device,
          method,
          model: options.model ?? (options.method ? requireMethod(method).defaultPreset : PUBLISHED.model),
          image: config.model.image_size,
          batch,
          precision,
          ...(recompute && { recompute }),
          images_per_second: batch / median(seconds),
          best_images_per_second: batch / Math.min(...seconds),
          images_per_second_core: batch / median(cpu_seconds),
          peak_memory_gb: peakResident() / 1e9,
          parameters: trainedNumbers(config),
          flops_per_image,
          work: workOf(config, batch),
        };
        const words = Object.entries(result)
          .filter(([, value]) => value !== null)
          .map(([key, value]) => [key, wordsOf(value)]);
        out.result({ ...result, work }, table(['', ''], words as [string, string | number][]));
      }),
    );
  const turns = 'steps of a method, in turn with steps of other settings: what a setting saves';
  stepCommand(bench, 'method', turns, PUBLISHED)
    .argument('<name>', 'of the method')
    .option('--steps <n>', 'steps of each that are timed, after one to warm up', wholeNumber('--steps', 1), 4)
    .requiredOption('--against <settings...>', 'settings of the steps that it is held against')
    .action(
      withOutput<[string]>(async (out, _command, given, name) => {
        const options = given as unknown as typeof PUBLISHED &
          HowOptions & { steps: number; set: string[]; against: string[] };
        const { model, image, patch, batch, steps, precision, recompute = false, set, against } = options;
        const backend = await backendFor(options);
        out.progress(`${steps + 1} steps of ${batch} images, of each`);
        const asked = { model, image, patch, batch, steps, precision, recompute, set, against };
        const kinds = timeAgainst(name, asked);
        const result = { engine: `conmim ${backend.name}`, device: backend.device, method: name, ...asked, kinds };
        const rows = kinds.map((one) => [
          one.settings,
          ...[one.seconds, one.seconds_least, one.seconds_most, one.images_per_second, one.of_the_first].map(wordsOf),
          ...[one.cpu_seconds, one.cpu_of_the_first].map(wordsOf),
        ]);
        const heads = ['', 's a step', 'least', 'most', 'images/s', 'of the first', "processor's s", 'of the first'];
        out.result(result, table(heads, rows as (string | number)[][]));
      }),
    );
  methodCommand(bench, 'profile', "which kernels a training step's time goes to").action(
    withOutput(async (out, _command, given) => {
      const options = given as unknown as StepOptions;
      const { precision, recompute = false } = options;
      const config = configOf(options);
      const { batch_size: batch } = config.train;
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
      const result = {
        engine: `conmim ${backend.name}`,
        device: backend.device,
        ...options,
        batch,
        total_ms,
        operations,
      };
      const rows = [...operations.slice(0, 20), { name: 'between kernels', calls: 1, ms: total_ms - inside }];
      out.result(
        result,
        table(
          ['kernel', 'calls', 'ms', 'share'],
          rows.map(({ name, calls, ms }) => [name, calls, Number(ms.toFixed(1)), percent(ms / total_ms)]),
        ),
      );
    }),
  );
}
