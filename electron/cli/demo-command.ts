import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import { patchesOf } from '../../shared/config.ts';
import { figureOf } from '../../shared/figures.ts';
import type { Metric } from '../../shared/run.ts';
import { duration, percent, plural } from '../../shared/words.ts';
import type { Replace } from '../files/files.ts';
import { makeFolder, type Target, targetOf } from '../files/outputs.ts';
import { loadBackend } from '../runtime/backend.ts';
import { importDataset } from '../services/datasets/datasets.ts';
import { SAMPLES } from '../services/datasets/samples.ts';
import { evaluate } from '../services/evaluation/evaluation.ts';
import { buildConfig } from '../services/recipes/configuration.ts';
import { createReserved } from '../services/runs/runs.ts';
import { drawLookups } from '../services/sheets/lookup.ts';
import { imagesOf } from '../trainer/training-images.ts';
import { withStore } from './context.ts';
import { evaluationWords } from './model-commands.ts';
import { Output, wholeNumber } from './output.ts';
import { OutputOption } from './output-option.ts';
import { figures, train } from './run-commands.ts';

const DATASET = SAMPLES[0].name;
/** The last steps, whose mean is said: a single batch of look-ups varies by some percent. */
const LAST_STEPS = 20;
const SHEET_IMAGES = 16;
const SHEET_ROWS = 6;

/** demo. */
export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .description('import the sample images, pretrain a small ViT on them, and show what it learned')
    .option('--steps <n>', 'optimizer steps', wholeNumber('--steps', 1))
    .addOption(new OutputOption('--out <folder>', 'where the contact sheet goes', {}).default('demo'))
    .action(
      withStore(async (context, options) => {
        const { out, store, signal } = context;
        const began = performance.now();
        await importDataset(store, {
          name: DATASET,
          folders: [SAMPLES[0].folder],
          labels: SAMPLES[0].labels,
          onProgress: (p) => out.progress(`importing: ${p.done} of ${p.total}`),
          signal,
        });
        const dataset = store.datasets.get(DATASET);
        out.note(`Dataset "${DATASET}": ${plural(dataset.image_count, 'image')}.`);
        const { preset, config } = buildConfig(
          'demo',
          options.steps === undefined ? [] : [`train.steps=${options.steps}`],
        );
        const made = createReserved(store, { dataset: DATASET, config, preset: preset.name, name: 'demo' });
        const run = await train({ ...context, out: new Quiet(out) }, made.run, made.place);
        if (run.status !== 'finished') {
          out.result(run, `Run ${run.id} is ${run.status}: \`conmim resume ${run.id}\` goes on.`);
          return;
        }
        await loadBackend();
        const checkpoint = store.checkpoints.latest(run.id)!;
        const lookup = await evaluate(store, { checkpoint: checkpoint.id, dataset: DATASET, task: 'lookup', signal });
        const sheet = sheetIn(targetOf(options.out as Target));
        const K = patchesOf(config.model);
        const shown = imagesOf(store, dataset, () => true).slice(0, SHEET_IMAGES);
        await drawLookups({
          config,
          student: store.checkpoints.load(checkpoint.id, 'student'),
          teacher: store.checkpoints.load(checkpoint.id, 'teacher'),
          images: shown.map(({ path }) => ({ path, title: basename(path) })),
          rows: SHEET_ROWS,
          seed: 0,
          caption: [
            `Run ${run.id}, step ${run.step}: each masked patch of ${plural(lookup.test_images, 'photograph')} ` +
              `is looked up among the ${K} patches of its own image.`,
            `Found: ${percent(lookup.trained.top1)}. The same queries among another image's patches (position alone): ` +
              `${percent(lookup.trained.top1_control)}. Untrained: ${percent(lookup.untrained.top1)}. Chance: ` +
              `${percent(lookup.chance)}.`,
          ].join('\n'),
          out: { path: sheet, replace: options.force === true },
        });
        const seconds = (performance.now() - began) / 1000;
        const last = meanOfLast(store.metrics.list(run.id, { from: run.step - LAST_STEPS + 1 }));
        const words = [
          '',
          `Pretrained ${plural(run.step, 'step')} on ${plural(dataset.image_count, 'image')} in ${duration(seconds * 1000)}. What it learned:`,
          `On random crops, the mean of the last ${LAST_STEPS} steps:`,
          ...figures(run, last),
          '',
          'On the whole photographs (in training it saw crops of them):',
          evaluationWords(lookup),
          '',
          `Masked patches with their answers: ${sheet}`,
          `Stored as run ${run.id}: \`npm run --silent conmim -- show ${run.id}\``,
        ];
        out.result(
          { run, last: { loss: last.loss, ...last.figures }, lookup, contact_sheet: sheet, seconds },
          words.join('\n'),
        );
      }),
    );
}

/** Path of the contact sheet: numbered, so that a demo that is run again keeps the sheets of those before. */
function sheetIn({ path: folder, replace }: { path: string } & Replace): string {
  makeFolder(folder);
  for (let i = 1; ; i++) {
    const sheet = join(folder, `contact-sheet${i === 1 ? '' : `-${i}`}.png`);
    if (replace || !existsSync(sheet)) return sheet;
  }
}

function meanOfLast(metrics: Metric[]): Pick<Metric, 'loss' | 'figures'> {
  const mean = (key: string) => {
    const values = metrics.map((metric) => figureOf(metric, key)).filter((value) => value !== null);
    return values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
  };
  const keys = new Set(metrics.flatMap(({ figures }) => Object.keys(figures)));
  return { loss: mean('loss') ?? Number.NaN, figures: Object.fromEntries([...keys].map((key) => [key, mean(key)])) };
}

/** Leaves out the result of the training inside the demo, which prints a result of its own. */
class Quiet extends Output {
  readonly #to: Output;
  constructor(to: Output) {
    super(to.json);
    this.#to = to;
  }
  override result(): void {}
  override note(text: string): void {
    this.#to.note(text);
  }
  override progress(text: string, last?: string): void {
    this.#to.progress(text, last);
  }
}
