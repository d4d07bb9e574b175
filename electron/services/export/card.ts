import { chanceOf, describe, methodOf, parseRunConfig } from '../../../methods/index.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import type { RunConfig } from '../../../shared/config.ts';
import type { ExportFormat } from '../../../shared/contract/export.ts';
import { evaluationFigures, figureText } from '../../../shared/evaluation-figures.ts';
import { figureOf, figureWords } from '../../../shared/figures.ts';
import type { Run } from '../../../shared/run.ts';
import { count, fixed, plural } from '../../../shared/words.ts';
import { sizeOf } from '../../engine/parameters.ts';
import { VERSION } from '../../files/project.ts';
import type { Store } from '../../store/store.ts';
import { isHeldOut } from '../../trainer/training-images.ts';
import { differences } from '../recipes/configuration.ts';
import { exportedSpecs } from './encoder.ts';
import { fenced, markdownTable, plain } from './markdown.ts';
import { pythonSnippet } from './snippets.ts';
import { timmName } from './timm.ts';

export interface CardSubject {
  checkpoint: Checkpoint;
  network: 'student' | 'teacher';
  format: ExportFormat;
  /**
   * Names, without folders: of the exported file; of the file beside it that has the weights, null where they are in
   * the first; of the curve's, null where no step is stored.
   */
  file: string;
  weights: string | null;
  curve: string | null;
}

/**
 * A model card in Markdown, with the front matter that the Hugging Face hub reads (arXiv 1810.03993 is the idea). It
 * names no folder and no file of the machine that trained.
 */
export function modelCard(store: Store, subject: CardSubject): string {
  const run = store.runs.get(subject.checkpoint.run_id);
  return `${[
    frontMatter(subject),
    `# ${plain(run.name)}, step ${count(subject.checkpoint.step)}: encoder of the ${subject.network}`,
    whatItIs(subject, run),
    `## Loading\n\n${loading(subject)}`,
    `## Training\n\n${training(subject, run)}`,
    `## Data\n\n${data(store, subject.checkpoint.config, run)}`,
    `## Curve\n\n${curve(store, subject, run)}`,
    `## Evaluation\n\n${evaluation(store, subject)}`,
    `## Limits\n\n${LIMITS}`,
    '## Licence\n\nSay yours here: what the licences of the images allow decides it, and the program knows nothing of them.',
  ].join('\n\n')}\n`;
}

function frontMatter({ format, checkpoint }: CardSubject): string {
  const { tags, paper } = methodOf(checkpoint.config);
  return [
    '---',
    `library_name: ${format}`,
    'pipeline_tag: image-feature-extraction',
    'tags:',
    ...[...tags, 'self-supervised-learning', 'vision-transformer', `arxiv:${paper.arxiv}`].map((tag) => `- ${tag}`),
    'license: other # say yours',
    '---',
  ].join('\n');
}

function whatItIs({ checkpoint: { config }, network, file, weights }: CardSubject, run: Run): string {
  const { model, augment } = config;
  const parameters = exportedSpecs(config).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const follows =
    config.momentum?.schedule === 'none' ? "shares the student's weights" : 'follows the student by a moving average';
  const which = network === 'student' ? 'student, which is trained' : `teacher, which ${follows}`;
  const { title, paper } = methodOf(config);
  const method = `${title} (*${paper.title}*, [arXiv ${paper.arxiv}](https://arxiv.org/abs/${paper.arxiv}))`;
  const origin =
    run.kind === 'imported'
      ? `A Vision Transformer as ${method} trains them, imported into ConMIM Workbench ${VERSION}.`
      : `A Vision Transformer that learned from images without labels by ${method}, trained with ConMIM Workbench ${VERSION}.`;
  return [
    `${origin} \`${file}\` ${weights ? `and \`${weights}\` hold` : 'holds'} the encoder of the ${which}: no head, no ` +
      `projector, ${count(parameters)} parameters as 32-bit floats.`,
    markdownTable(
      ['', ''],
      [
        [
          'Input',
          `RGB, ${model.image_size} × ${model.image_size}, less mean ${augment.mean.join(', ')}, divided by std ${augment.std.join(', ')}`,
        ],
        ['Patches', `${model.patch_size} × ${model.patch_size} pixels`],
        ['Width, depth, heads', `${model.embed_dim}, ${model.depth}, ${model.num_heads}`],
        ['Hidden width of the MLP', `${Math.trunc(model.embed_dim * model.mlp_ratio)}`],
        ['Positions', model.position],
        ['Layer scale', model.layer_scale_init > 0 ? 'yes' : 'no'],
      ],
    ),
    'The evaluations here take the middle square of an image and resize it to the input (bicubic).',
  ].join('\n\n');
}

function loading({ checkpoint, format, file, weights }: CardSubject): string {
  const named = timmName(checkpoint.config.model);
  const words = {
    timm:
      'With ' +
      `[timm](https://github.com/huggingface/pytorch-image-models)${named ? `: it is a \`${named}\` without a head` : "'s `Beit`, with these sizes"}. ` +
      'Give `num_classes` a number and load with `strict=False` to fine-tune: only `head` is missing then.',
    onnx:
      'With [ONNX Runtime](https://onnxruntime.ai), in Python as here or in any of its languages. Outputs: `tokens`, ' +
      '`cls`, and `mean` of the patch tokens; the first dimension of all is the batch.',
  }[format];
  const both = weights
    ? ` Keep \`${weights}\` in the folder of \`${file}\`, under its name: the one has the weights, the other the graph, which does not load without them.`
    : '';
  return (
    `${words}${both}\n\n${fenced('python', pythonSnippet(format, checkpoint.config, file))}\n\nConMIM Workbench ` +
    (format === 'timm'
      ? 'itself reads it too: `conmim import-weights FILE`.'
      : 'itself reads what its `export-weights` writes (`conmim import-weights FILE`), not this file.')
  );
}

function training({ checkpoint }: CardSubject, run: Run): string {
  const { config, step, epoch } = checkpoint;
  if (run.kind === 'imported') return 'These weights were imported: how they were trained is not known here.';
  const batch = config.train.batch_size * config.train.accumulation;
  const where = run.runtime ? [run.runtime.name, run.runtime.device] : [];
  const changed = differences(parseRunConfig({ method: config.method }), config);
  return [
    `Step ${count(step)} of ${count(run.total_steps)}, ${plural(batch, 'image')} a step, ${fixed(epoch, 1)} ` +
      `epochs${run.preset === null ? '' : `; preset \`${run.preset}\``}${where.length > 0 ? `; ${plain(where.join(' on '))}` : ''}.`,
    changed.length === 0
      ? 'Every setting is the default.'
      : `Settings that differ from the defaults, which are the published program's:\n\n${markdownTable(
          ['Setting', 'Value', 'Default'],
          changed.map(({ key, preset, value }) => [`\`${key}\``, code(value), code(preset)]),
        )}`,
    `<details><summary>All settings</summary>\n\n${fenced('json', JSON.stringify(config, null, 2))}\n\n</details>`,
  ].join('\n\n');
}

const code = (value: unknown) => `\`${JSON.stringify(value)}\``;

function data(store: Store, config: RunConfig, run: Run): string {
  if (run.dataset_id === null) return 'Not known here: the weights were imported.';
  const dataset = store.datasets.get(run.dataset_id);
  const { width, height, formats, classes } = store.images.facts(dataset.id);
  const { holdout } = config.data;
  let [images, held] = [0, 0];
  for (const image of store.images.iterate(dataset.id, { status: 'ok' })) {
    images++;
    if (isHeldOut(image, holdout)) held++;
  }
  const sides = (side: [number, number, number] | null) => (side ? `${side[0]}, ${side[1]}, ${side[2]}` : 'none');
  return `${markdownTable(
    ['', ''],
    [
      ['Dataset', plain(dataset.name)],
      ['Images', `${count(images)}, of which ${count(held)} held out from training`],
      ['Width: least, median, greatest', `${sides(width)} pixels`],
      ['Height: least, median, greatest', `${sides(height)} pixels`],
      ['Formats', formats.map((f) => `${f.format} ${count(f.count)}`).join(', ') || 'none'],
      ['Labels', classes > 0 ? `${plural(classes, 'class', 'classes')}; pretraining does not see them` : 'none'],
    ],
  )}\n\nCounted when this card was written.`;
}

function curve(store: Store, { checkpoint, curve }: CardSubject, run: Run): string {
  if (curve === null) return 'No step is stored.';
  const { run_id, step, config } = checkpoint;
  const recent = store.metrics.list(run_id, { from: step - config.metrics.features_every, to: step });
  const last = recent.at(-1);
  const { figures, charts } = describe(run);
  const picture = `![${charts.flatMap(({ title, isSparse }) => (isSparse ? [] : [title])).join(', ')}, by step](<${curve}>)`;
  if (!last) return picture;
  const seen = (key: string) => recent.map((metric) => figureOf(metric, key)).findLast((value) => value !== null);
  const chance = chanceOf(run);
  const rows = figures.map((one) => [
    `${one.title} (${one.about})`,
    figureWords(one, seen(one.key)),
    one.key in chance.figures ? figureWords(one, chance.figures[one.key]) : '',
  ]);
  const when = `On the batch of step ${count(last.step)}, as it was trained on (what is measured at few steps, on the last of them):`;
  return `${picture}\n\n${when}\n\n${markdownTable(
    ['', 'Value', 'Guessing'],
    [[`Loss, ${charts[0]!.unit}`, fixed(last.loss, 3), fixed(chance.loss, 3)], ...rows],
  )}`;
}

function evaluation(store: Store, { checkpoint, network }: CardSubject): string {
  const figures = store.evaluations.list({ checkpoint_id: checkpoint.id }).flatMap(evaluationFigures);
  const hasImported = figures.some(({ official }) => official !== null);
  const rows = figures.map((f) => [
    f.task,
    plain(f.on),
    f.label,
    ...[f.trained, f.untrained, ...(hasImported ? [f.official] : []), f.chance].map((value) =>
      figureText(value, f.scale),
    ),
    count(f.n),
  ]);
  if (rows.length === 0) return 'This checkpoint was not evaluated.';
  const hasLookups = methodOf(checkpoint.config).lookups !== null;
  const both = 'take both networks';
  const words = [
    'Beside the same network untrained, without which no figure says anything.',
    network === 'teacher'
      ? `k-NN and linear probes were measured on the student, not on this teacher${hasLookups ? `; look-ups ${both}` : ''}.`
      : hasLookups
        ? `Look-ups ${both}: queries of the student, keys of the teacher.`
        : '',
    'Images that it learned from were seen without labels, and may be among the test images' +
      `${hasLookups ? '; look-ups ask only those held out, where there are any' : ''}.`,
  ].filter(Boolean);
  const header = [
    'Task',
    'On',
    'Figure',
    'Trained',
    'Untrained',
    ...(hasImported ? ['Imported weights'] : []),
    'Guessing, or always the largest class',
    'Test images',
  ];
  return `${words.join(' ')}\n\n${markdownTable(header, rows)}`;
}

const LIMITS = `- Features of masked image modelling are weak as they are (k-NN, linear probe) and strong after fine-tuning: judge them by
  the task that they are for.
- It has seen what its data show, with their biases; on images of another kind expect less.
- The input's size is fixed: other sizes need positions that are resampled, which changes what the network computes.`;
