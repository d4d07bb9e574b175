import { type Command, Option } from 'commander';
import { METHODS, methodOf } from '../../methods/index.ts';
import { type BackendUse, USES } from '../../shared/backends.ts';
import { EMBEDDING_FORMATS, type EmbeddingFormat } from '../../shared/contract/export.ts';
import { AppError } from '../../shared/errors.ts';
import type { EvaluationResult, Scores } from '../../shared/evaluation.ts';
import { figureText, labelOf, scaleOf, TASKS } from '../../shared/evaluation-figures.ts';
import { leftOutWords } from '../../shared/left-out.ts';
import { printable } from '../../shared/printable.ts';
import { bytes, NETWORKS, percent, plural } from '../../shared/words.ts';
import { replay, replayedIn } from '../bench/replay.ts';
import { type Target, targetOf } from '../files/outputs.ts';
import { typedPath } from '../files/typed-path.ts';
import { loadBackend } from '../runtime/backend.ts';
import { chooseBackend } from '../runtime/choice.ts';
import { exportEmbeddings } from '../services/embeddings/embeddings.ts';
import { besideEmbeddings } from '../services/embeddings/writers.ts';
import { evaluate, queueEvaluation } from '../services/evaluation/evaluation.ts';
import type { Task } from '../services/evaluation/types.ts';
import { exportWeights, importWeights, WEIGHTS_ENDING } from '../services/export/weights.ts';
import type { EmbeddingAsked } from '../services/ground/jobs.ts';
import { tryBackends } from '../services/machine/backend-trial.ts';
import { doctor, formatDoctor } from '../services/machine/doctor.ts';
import { parseSetting, requireMethod } from '../services/recipes/configuration.ts';
import type { Store } from '../store/store.ts';
import { homeFolder, withAbort, withOutput, withStore } from './context.ts';
import { collect, type Output, wholeNumber } from './output.ts';
import { OutputArgument, OutputOption } from './output-option.ts';
import { table } from './table.ts';

const EVALUATIONS: readonly Task[] = ['lookup', 'knn', 'fewshot', 'linear', 'labelfree'];
/** evaluate, export-weights, import-weights, replay, doctor. */
export function addModelCommands(program: Command): void {
  program
    .command('evaluate')
    .description('evaluate a checkpoint, beside the same network untrained')
    .argument('<checkpoint>', 'number of a checkpoint, or run:NAME for the latest of a run')
    .requiredOption('--dataset <name>')
    .requiredOption('--task <task>', EVALUATIONS.join(', '))
    .option('--test-dataset <name>', 'test images; without it about a fifth of each class, always the same')
    .option('--k <n>', 'neighbours of k-NN', wholeNumber('--k', 1), 20)
    .option('--official <checkpoint>', 'imported weights beside it, or "none" (else those that were imported last)')
    .option('--queue', 'only put it in the queue of the window')
    .action(
      withStore<[string]>(async ({ out, store, signal }, options, checkpoint) => {
        const task = options.task as Task;
        if (!EVALUATIONS.includes(task))
          throw new AppError(
            'bad-input',
            `There is no task "${task}".`,
            '',
            `Choose one of ${EVALUATIONS.join(', ')}.`,
          );
        const asked = {
          checkpoint: findCheckpoint(store, checkpoint),
          dataset: options.dataset as string,
          ...(options.testDataset !== undefined && { testDataset: options.testDataset as string }),
          task,
          k: options.k as number,
          ...officialOption(store, options.official as string | undefined),
        };
        if (options.queue) {
          const queued = queueEvaluation(store, asked);
          out.result({ queued }, `Evaluation ${queued.id} is in the queue of the window.`);
          return;
        }
        await loadBackend();
        const result = await evaluate(store, {
          ...asked,
          onProgress: (done, total, what) => out.progress(`${what}: ${done} of ${total} images`),
          signal,
        });
        out.result(result, evaluationWords(result));
        if (result.not_stored !== undefined) {
          out.note(`These figures are only printed here, and not stored with the checkpoint: ${result.not_stored}`);
          process.exitCode = 1;
        }
      }),
    );

  program
    .command('embeddings')
    .description(
      "write a dataset's embeddings, of images or of all their patches, to Parquet, NPY or CSV; after a stop the same command goes on",
    )
    .argument('<checkpoint>', 'number of a checkpoint, or run:NAME for the latest of a run')
    .requiredOption('--dataset <name>')
    .addOption(
      new OutputOption('--out <file>', 'ends in .parquet, .npy (with FILE.index.csv beside it) or .csv', {
        endings: EMBEDDING_FORMATS.map((one) => `.${one}`),
        also: (file) => besideEmbeddings(file, formatOf(file)),
      }).makeOptionMandatory(),
    )
    .addOption(
      new Option('--feature <which>', 'of images: mean of patch tokens, or CLS; of patches: tokens, or projector')
        .choices(['mean', 'cls', 'tokens', 'projector'])
        .default('mean'),
    )
    .addOption(new Option('--network <which>').choices(['student', 'teacher', 'untrained']).default('student'))
    .action(
      withStore<[string]>(async ({ out, store, signal }, options, checkpoint) => {
        const { path: file, replace } = targetOf(options.out as Target);
        await loadBackend();
        const report = await exportEmbeddings(
          store,
          {
            checkpoint: findCheckpoint(store, checkpoint),
            dataset: options.dataset as string,
            part: options.network as EmbeddingAsked['part'],
            feature: options.feature as EmbeddingAsked['feature'],
            format: formatOf(file),
            file,
            replace,
          },
          { signal, onProgress: (done, total, what) => out.progress(`${done} of ${total} ${what}`) },
        );
        const words = [
          ...(report.resumed > 0
            ? [`Went on after ${plural(report.resumed, 'image')}, computed by an export that was cut short.`]
            : []),
          `${file}: ${plural(report.rows, 'row')} of ${report.width}, of ${plural(report.images, 'image')}, ${bytes(report.bytes)}.`,
          ...report.beside.map((one) => `${one}: whose rows these are.`),
          ...(report.unreadable.length > 0
            ? [leftOutWords(report.unreadable, report.images + report.unreadable.length)]
            : []),
        ];
        out.result(report, words.join('\n'));
      }),
    );

  program
    .command('export-weights')
    .description("write a checkpoint's network under the published names")
    .argument('<checkpoint>', 'number of a checkpoint, or run:NAME for the latest of a run')
    .addArgument(new OutputArgument('<file>', 'a .safetensors file', { endings: [WEIGHTS_ENDING] }))
    .option('--network <which>', 'student or teacher', 'student')
    .action(
      withStore<[string, Target]>(({ out, store }, options, checkpoint, target) => {
        const network = options.network;
        if (network !== 'student' && network !== 'teacher')
          throw new AppError('bad-input', `--network is "student" or "teacher", not "${network}".`);
        const { path: file, replace } = targetOf(target);
        const tensors = exportWeights(store, findCheckpoint(store, checkpoint), file, network, { replace });
        out.result({ file, network, tensors }, `${file}: ${plural(tensors, 'tensor')} of the ${network}.`);
      }),
    );

  program
    .command('import-weights')
    .description('read .safetensors or the published .pth as a checkpoint; a .pth is parsed, nothing in it is executed')
    .argument('<file>')
    .option('--name <name>', 'name of the run that holds it')
    .option('--method <name>', 'whose weights they are, where the file does not tell')
    .option('--set <key=value>', 'a setting that the file does not contain, such as model.num_heads=6', collect, [])
    .action(
      withStore<[string]>(async ({ out, store }, options, file) => {
        const method = options.method as string | undefined;
        const methods = method === undefined ? METHODS : [requireMethod(method)];
        const settings = (options.set as string[]).map((setting) => parseSetting(setting, ...methods));
        const { checkpoint, ignored, notes } = await importWeights(store, typedPath(file, 'the file'), {
          name: options.name as string | undefined,
          method,
          settings: Object.fromEntries(settings.map(({ key, value }) => [key, value])),
        });
        const { title } = methodOf(checkpoint.config);
        const words = [
          `Checkpoint ${checkpoint.id} of run ${checkpoint.run_id}, read as ${title}.`,
          ...notes.map(printable),
        ];
        if (ignored.length > 0) words.push(printable(`Not used by this network and ignored: ${ignored.join(', ')}.`));
        out.result({ checkpoint, ignored, notes }, words.join('\n'));
      }),
    );

  program
    .command('replay')
    .description('run a parity folder and write what came out (result.json, look-ups, gradients, final states, tokens)')
    .argument('<folder>')
    .addArgument(new OutputArgument('<out>', 'a folder; it is made where there is none', { also: replayedIn }))
    .action(
      withOutput<[string, Target]>(async (out, _command, _options, folder, target) => {
        const backend = await loadBackend();
        const { path, replace: isReplaced } = targetOf(target);
        const steps = await replay(folder, path, { replace: isReplaced });
        const keys = Object.keys(steps[0]!);
        const rows = steps.map((step, i) => [i, ...keys.map((key) => step[key]!.toPrecision(7))]);
        out.result(
          { backend: backend.name, steps },
          table(['step', ...keys.map((key) => key.replaceAll('_', ' '))], rows),
        );
      }),
    );

  program
    .command('doctor')
    .description(
      'versions, devices, what is used and why, what would make it faster, and whether the database is sound',
    )
    .option('--trial', 'try each backend for a few seconds of training; auto uses the fastest from then on')
    .addOption(new Option('--use <backend>', 'what runs compute with from now on').choices(USES))
    .action(
      withOutput(async (out, command, options) => {
        if (options.use !== undefined) chooseBackend(options.use as BackendUse);
        if (options.trial) await trial(out);
        const report = await doctor(homeFolder(command), {
          readAll: true,
          onProgress: (done, total, what) => out.progress(`${what}: ${total > 0 ? `${done} of ${total}` : 'reading'}`),
        });
        out.result(report, formatDoctor(report));
      }),
    );
}

/** The format that a file name ends in; the ending was checked before. */
const formatOf = (file: string): EmbeddingFormat =>
  EMBEDDING_FORMATS.find((one) => file.toLowerCase().endsWith(`.${one}`)) ?? 'parquet';

/** Tries the backends; Ctrl-C ends it and keeps nothing. */
async function trial(out: Output): Promise<void> {
  await withAbort((signal) =>
    tryBackends({ signal, progress: (done, total, name) => out.progress(`${done} of ${total}: ${name}`) }),
  );
}

/** @throws AppError not-found */
export function findCheckpoint(store: Store, text: string): number {
  if (/^\d+$/.test(text)) return store.checkpoints.get(Number(text)).id;
  const name = text.replace(/^run:/, '');
  const run = store.runs.get(/^\d+$/.test(name) ? Number(name) : name);
  const latest = store.checkpoints.latest(run.id);
  if (!latest)
    throw new AppError(
      'not-found',
      `Run "${run.name}" has no checkpoint yet.`,
      '',
      'Wait for its first one, or pause it: that writes one.',
    );
  return latest.id;
}

/** `--official`: a checkpoint, "none", or nothing said. */
export function officialOption(store: Store, text: string | undefined): { official?: number | null } {
  if (text === undefined) return {};
  return { official: text === 'none' ? null : findCheckpoint(store, text) };
}

/** Classes of a confusion matrix that is printed. */
const MOST_PRINTED = 12;

export function evaluationWords(result: EvaluationResult): string {
  const { trained, untrained, official } = result;
  const networks = [trained, untrained, ...(official ? [official] : [])];
  const scale = scaleOf(result.task);
  const show = (scores: Scores | undefined, key: string) =>
    scores?.[key] === undefined
      ? 'not yet'
      : `${figureText(scores[key], scale)}${`${key}_sd` in scores ? ` ± ${figureText(scores[`${key}_sd`], scale)}` : ''}`;
  const keys = Object.keys(trained ?? untrained ?? {}).filter((key) => !key.endsWith('_sd'));
  const rows = keys.map((key) => [labelOf(key), ...networks.map((scores) => show(scores, key))]);
  const on = `${plural(result.test_images, 'image')}${result.classes ? ` of ${result.classes} classes, fitted on ${result.train_images}` : ''}`;
  const matrix = result.confusion;
  return [
    `${TASKS[result.task]} of checkpoint ${result.checkpoint.id} (step ${result.checkpoint.step}) on ` +
      `${result.dataset}: ${on}` +
      (result.chance === null
        ? ''
        : `; ${result.task === 'lookup' ? 'chance' : 'always the largest class'} ${percent(result.chance)}`),
    table(
      ['', NETWORKS.trained, NETWORKS.untrained, ...(official ? [result.official_name ?? NETWORKS.official] : [])],
      rows,
    ),
    ...result.notices,
    ...(matrix?.trained && matrix.classes.length <= MOST_PRINTED
      ? [
          '',
          'Which class (row) was taken for which (column), by the trained network:',
          table(
            ['', ...matrix.classes],
            matrix.trained.map((row, i) => [matrix.classes[i]!, ...row]),
          ),
        ]
      : []),
  ].join('\n');
}
