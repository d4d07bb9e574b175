import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import { METHODS, methodOf, parseRunConfig } from '../../methods/index.ts';
import {
  type AskedBakeOff,
  BAKE_OFF_TASKS,
  type BakeOff,
  type BakeOffPlan,
  type BakeOffSummary,
  type BakeOffTask,
  type Budget,
  bakeOffSchema,
  ENCODER_KEYS,
  type Encoder,
  type EntryCost,
  tasksFor,
} from '../../shared/bakeoff.ts';
import { budgetWords, meanOf } from '../../shared/bakeoff-words.ts';
import { suggested } from '../../shared/command.ts';
import { AppError } from '../../shared/errors.ts';
import type { Run } from '../../shared/run.ts';
import { MOST_SEEDS } from '../../shared/statistics.ts';
import { bytes, count, duration, NONE, plural } from '../../shared/words.ts';
import { writeWhole } from '../files/files.ts';
import { makeFolder, type Target, targetOf } from '../files/outputs.ts';
import { loadBackend } from '../runtime/backend.ts';
import { bakeOffPage } from '../services/bakeoff/page.ts';
import { measureBakeOff, planBakeOff } from '../services/bakeoff/plan.ts';
import { bakeOffRows, damagedBakeOffs, summaryOf } from '../services/bakeoff/summary.ts';
import {
  addLabelled,
  addMissing,
  continueBakeOff,
  createBakeOff,
  evaluationsOf,
  sayUntended,
  unfinishedLenders,
} from '../services/bakeoff/work.ts';
import { evaluate } from '../services/evaluation/evaluation.ts';
import { FeatureMemory } from '../services/ground/features.ts';
import { configKeys, findPreset, parseSetting, requireMethod } from '../services/recipes/configuration.ts';
import { savedPresets } from '../services/recipes/presets.ts';
import type { FileLock } from '../store/file-lock.ts';
import type { Store } from '../store/store.ts';
import { type Context, withStore } from './context.ts';
import { damagedWords } from './damaged-words.ts';
import { collect, wholeNumber } from './output.ts';
import { OutputOption } from './output-option.ts';
import { trainQuietly } from './run-commands.ts';
import { table } from './table.ts';

/** Those that take over no network of another run: that would have to be trained first. */
const NAMES = METHODS.filter(({ borrows }) => !borrows)
  .map(({ name }) => name)
  .join(',');

/** compare-methods. */
export function addCompareMethodsCommand(program: Command): void {
  program
    .command('compare-methods')
    .description(
      'hold methods against each other: same images, encoder, budget and evaluations, over several seeds; Ctrl-C pauses',
    )
    .argument('[dataset]', 'name of the dataset; without it bake-offs are listed')
    .option('--methods <names>', 'with commas between', NAMES)
    .option('--preset <name>', "a preset in place of its method's own; may be given again", collect, [])
    .option(
      '--set <key=value>',
      'change a setting of every method that has it, or METHOD:key=value of one; may be given again',
      collect,
      [],
    )
    .option('--images <n>', 'budget: images that a run sees', wholeNumber('--images', 1))
    .option('--minutes <n>', 'budget: minutes of steps on this machine', amount('--minutes'))
    .option('--flops <n>', 'budget: floating-point operations of a run, in products of matrices', amount('--flops'))
    .option('--seeds <n>', 'runs of each method', wholeNumber('--seeds', 1), 3)
    .option('--test-dataset <name>', 'test images; without it about a fifth of each class, always the same')
    .option('--tasks <names>', `evaluations of frozen features (${BAKE_OFF_TASKS.join(', ')}), or none`)
    .option('--finetune <epochs>', 'fine-tune each network for so many epochs', wholeNumber('--finetune', 1))
    .option('--no-supervised', 'without the encoder that is trained with labels from scratch')
    .option('--no-pixels', 'without raw pixels')
    .option('--name <name>', 'name of the bake-off')
    .option('--dry-run', 'only say what it would take')
    .option('--queue', 'only put it in the queue of the window')
    .addOption(new Option('--resume <bake-off>', 'go on with one, by its name or number'))
    .addOption(new Option('--delete <bake-off>', 'forget one; its runs stay').conflicts('resume'))
    .addOption(
      new OutputOption('--report <file>', 'an .html file; it needs nothing beside it', {
        endings: ['.html', '.htm'],
        makesFolder: true,
      }),
    )
    .action(
      withStore<[string | undefined]>(async (context, options, dataset) => {
        const { out, store } = context;
        if (options.delete !== undefined) {
          forget(context, options.delete as string);
          return;
        }
        if (options.resume !== undefined) {
          const { id } = store.bakeOffs.get(options.resume as string);
          if (options.queue) {
            continueBakeOff(store, id);
            out.result(summaryOf(store, id), `What is left of bake-off ${id} is in the queue of the window.`);
          } else await workAt(context, id, options);
          return;
        }
        if (dataset === undefined) {
          list(context);
          return;
        }
        const asked = askedBy(store, dataset, options);
        const costs = await measured(context, asked);
        const plan = planBakeOff(store, asked, costs);
        if (options.dryRun) {
          out.result({ asked, plan }, planWords(asked, plan));
          return;
        }
        out.note(planWords(asked, plan));
        if (options.queue) {
          const { id, name } = createBakeOff(store, asked, costs);
          continueBakeOff(store, id);
          out.result(summaryOf(store, id), `Bake-off ${id} "${name}" is in the queue of the window.`);
          return;
        }
        // Its runs are this command's from the beginning: a window's queue leaves them alone.
        const [made, places] = store.atomically(() => {
          const bakeOff = createBakeOff(store, asked, costs);
          return [bakeOff, reserveAll(store, bakeOff)] as const;
        });
        await workAt(context, made.id, options, places);
      }),
    );
}

/** Also one that is damaged. @throws AppError not-found; conflict while another process works at it */
function forget({ out, store }: Context, asked: string): void {
  const { id, name, runs } = store.bakeOffs.head(asked);
  const lock = store.bakeOffs.take(id);
  if (lock === null) throw busy(id);
  store.bakeOffs.delete(id);
  lock.remove();
  const rest = runs.length > 0 ? ` Its ${plural(runs.length, 'run')} stay: \`conmim delete RUN\` deletes one.` : '';
  out.result({ id, name, deleted: true }, `Bake-off ${id} "${name}" is forgotten.${rest}`);
}

const busy = (id: number) =>
  new AppError('conflict', `Another process works at bake-off ${id}.`, '', 'Wait for its end.');

function list({ out, store }: Context): void {
  const rows = bakeOffRows(store);
  const damaged = damagedBakeOffs(store);
  const none = 'No bake-off yet: `conmim compare-methods DATASET --images 100000` starts one.';
  const known = table(
    ['bake-off', 'name', 'dataset', 'methods', 'state', 'done'],
    rows.map((row) => [
      ...[row.id, row.name, row.dataset, row.methods.join(', '), row.state, `${row.done}/${row.total}`],
    ]),
  );
  out.result(
    [...rows, ...damaged.map(({ id, name, error }) => ({ id, name, damaged: error }))],
    [...(rows.length > 0 ? [known] : damaged.length > 0 ? [] : [none]), ...damagedWords('bake-off', damaged)].join(
      '\n',
    ),
  );
}

/** A number above zero from an option; 1e15 is one. */
function amount(option: string) {
  return (text: string): number => {
    const value = Number(text);
    if (Number.isFinite(value) && value > 0) return value;
    throw new AppError('bad-input', `${option} is a number above 0, not "${text}".`);
  };
}

/** @throws AppError bad-input, not-found */
function askedBy(store: Store, dataset: string, options: Record<string, unknown>): AskedBakeOff {
  const { id, name } = store.datasets.get(dataset);
  const presets = (options.preset as string[]).map((one) => findPreset(one, savedPresets(store)));
  const methodIn = (preset: (typeof presets)[number]) => methodOf(parseRunConfig(preset.config)).name;
  const names = [...new Set((options.methods as string).split(',').map((one) => one.trim()))].filter(Boolean);
  const methods = names.map(requireMethod);
  const chosen = methods.map((method) => {
    const own = presets.find((preset) => methodIn(preset) === method.name);
    return { method, preset: own ?? findPreset(method.defaultPreset) };
  });
  const stray = presets.find((preset) => !chosen.some((one) => one.preset === preset));
  if (stray)
    throw new AppError(
      'bad-input',
      `Preset "${stray.name}" is of no method that is compared, or of one that has another.`,
    );
  const changes = chosen.map((): Record<string, unknown> => ({}));
  const encoder: Record<string, unknown> = {};
  for (const text of options.set as string[]) {
    const [, only, setting] = /^(?:([a-z0-9-]+):)?(.*)$/s.exec(text) as unknown as [string, string | undefined, string];
    const places = chosen.flatMap(({ method }, i) => (only === undefined || method.name === only ? [i] : []));
    if (places.length === 0) requireMethod(only!); // says which is nearest
    const key = setting.split('=')[0]!.trim();
    const having = places.filter((i) => configKeys(chosen[i]!.method).includes(key));
    const { value } = parseSetting(setting, chosen[having[0] ?? places[0] ?? 0]!.method);
    if (key === 'train.seed' || key === 'train.steps' || key === 'train.epochs')
      throw new AppError(
        'bad-input',
        `${key} follows from the seeds and the budget.`,
        '',
        'Give --seeds, and --images, --minutes or --flops.',
      );
    const size = ENCODER_KEYS.find((one) => `model.${one}` === key);
    if (size) encoder[size] = value;
    else for (const i of having) changes[i]![key] = value;
  }
  const first = parseRunConfig(chosen[0]!.preset.config).model;
  const labelled = store.images.labels(id).filter(({ label }) => label !== '').length > 1;
  const test = options.testDataset === undefined ? null : store.datasets.get(options.testDataset as string).id;
  const parsed = bakeOffSchema.safeParse({
    name: (options.name as string | undefined) ?? store.bakeOffs.freeName(`${name} bake-off`),
    dataset: id,
    test_dataset: test,
    entries: chosen.map(({ preset }, i) => ({ preset: preset.name, changes: changes[i] })),
    encoder: { ...Object.fromEntries(ENCODER_KEYS.map((key) => [key, first[key]])), ...encoder } as Encoder,
    budget: budgetOf(options),
    seeds: options.seeds,
    tasks: tasksOf(options.tasks as string | undefined, labelled),
    supervised: options.supervised === true && labelled,
    pixels: options.pixels === true && labelled,
    finetune: options.finetune ?? null,
  });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new AppError(
    'bad-input',
    `${issue!.path.join('.')} of the bake-off cannot be used: ${issue!.message}.`,
    '',
    issue!.path[0] === 'seeds' ? `At most ${MOST_SEEDS} seeds can be asked for.` : '',
  );
}

function budgetOf(options: Record<string, unknown>): Budget {
  const given = (['images', 'minutes', 'flops'] as const).filter((kind) => options[kind] !== undefined);
  if (given.length === 1) return { kind: given[0]!, [given[0]!]: options[given[0]!] } as unknown as Budget;
  const what = given.length === 0 ? 'What may a run take?' : 'A bake-off has one budget.';
  throw new AppError('bad-input', what, '', 'Give one of --images, --minutes and --flops.');
}

function tasksOf(text: string | undefined, labelled: boolean): BakeOffTask[] {
  if (text === undefined) return tasksFor(labelled);
  if (text === 'none') return [];
  return text.split(',').map((one) => {
    const task = BAKE_OFF_TASKS.find((known) => known === one.trim());
    if (task) return task;
    const next = `Choose among ${BAKE_OFF_TASKS.join(', ')}; or say none.`;
    throw new AppError('bad-input', `A bake-off has no evaluation "${one}".`, '', next);
  });
}

const measured = ({ out, store, signal }: Context, asked: AskedBakeOff): Promise<EntryCost[]> =>
  measureBakeOff(store, asked, (_, __, what) => what && out.progress(`measuring ${what}`), signal);

function planWords(asked: AskedBakeOff, plan: BakeOffPlan): string {
  const rows = plan.entries.map(({ title, preset, steps, images, cost, checkpoint_bytes }) => [
    ...[title, preset, count(steps ?? 0), count(images ?? 0)],
    cost ? cost.images_per_s.toFixed(1) : NONE,
    cost && images !== null ? duration((1000 * images) / cost.images_per_s) : NONE,
    ...[cost ? bytes(cost.peak_memory) : NONE, bytes(checkpoint_bytes)],
  ]);
  const evaluations = `${plural(plan.evaluations, 'evaluation')} and ${plural(plan.labelled_runs, 'training')} with labels`;
  return [
    table(['method', 'preset', 'steps', 'images', 'images/s', 'a run', 'memory', 'checkpoint'], rows),
    `Budget of a run: ${budgetWords(asked.budget)}. ${plural(plan.runs, 'pretraining')}, ${evaluations}.`,
    plan.seconds === null
      ? 'How long all takes cannot be said here.'
      : `All takes about ${duration(1000 * plan.seconds)}, and ${bytes(plan.disk)} of disk.`,
    ...plan.entries.flatMap(({ title, cost }) => (cost?.warning ? [`${title}: ${cost.warning}`] : [])),
    ...plan.notices,
  ].join('\n');
}

function reserveAll(store: Store, { runs }: BakeOff): Map<number, FileLock> {
  const unfinished = runs.filter(({ run_id }) => store.runs.get(run_id).status !== 'finished');
  return new Map(unfinished.map(({ run_id }) => [run_id, store.runs.reserve(run_id)]));
}

/** Does all that is left of a bake-off, one thing after the other, and says how it stands then. */
async function workAt(
  context: Context,
  id: number,
  options: Record<string, unknown>,
  reserved?: Map<number, FileLock>,
): Promise<void> {
  const { out, store, signal } = context;
  const lock = store.bakeOffs.take(id);
  if (lock === null) throw busy(id);
  const places =
    reserved ??
    store.atomically(() => {
      addMissing(store, store.bakeOffs.get(id));
      return reserveAll(store, store.bakeOffs.get(id));
    });
  const failed: string[] = [];
  try {
    for (const lender of unfinishedLenders(store, store.bakeOffs.get(id))) {
      const { after } = await trainQuietly(context, lender, store.runs.reserve(lender.id));
      signal.throwIfAborted();
      // What it is at now would be taken over as if it were trained.
      if (after.status !== 'finished')
        throw new AppError(
          'conflict',
          `Run ${lender.id} "${lender.name}", which is trained first, is ${after.status}.`,
          'What is compared takes over what it learns.',
          `Go on with \`${suggested('compare-methods', [], `--resume ${id}`, process.platform)}\`.`,
        );
    }
    const tried = new Set<number>();
    for (;;) {
      signal.throwIfAborted();
      const next = nextOf(store, id, tried);
      if (!next) break;
      if (next.isFinished) {
        for (const { id: run } of await tend(context, id, next.run)) places.set(run, store.runs.reserve(run));
        continue;
      }
      tried.add(next.run.id);
      const place = places.get(next.run.id) ?? store.runs.reserve(next.run.id);
      try {
        await trainQuietly(context, next.run, place);
      } catch (error) {
        if (!(error instanceof AppError) || signal.aborted) throw error;
        // One method that fails does not end the others.
        failed.push(`${next.run.name}: ${error.message}`);
        out.note(failed.at(-1)!);
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    pauseRest(store, places);
    lock.remove();
  }
  const summary = summaryOf(store, id);
  const report = writeReport(summary, options.report as Target | undefined);
  const rest =
    summary.state === 'finished' ? [] : [`\`conmim compare-methods --resume ${id}\` goes on with what is left.`];
  out.result(
    { ...summary, ...(report !== null && { report }) },
    [summaryWords(summary), ...failed, ...rest, ...(report === null ? [] : [`Report: ${report}`])].join('\n'),
  );
  if (failed.length > 0) process.exitCode = 1;
}

/** What is next: what follows from a pretraining that has finished, or a run. */
function nextOf(store: Store, id: number, tried: ReadonlySet<number>): { run: Run; isFinished: boolean } | null {
  const { runs } = store.bakeOffs.get(id);
  for (const { run_id, role, is_tended } of runs) {
    const run = store.runs.get(run_id);
    if (run.status === 'finished' && role === 'pretrain' && !is_tended) return { run, isFinished: true };
    // One that was paused or stopped before its turn is left as it is.
    const isOpen = run.status !== 'finished' && run.status !== 'stopped' && run.status !== 'running';
    if (isOpen && !tried.has(run_id)) return { run, isFinished: false };
  }
  return null;
}

/** Evaluates a finished pretraining. @returns trainings with labels that follow */
async function tend({ out, store, signal }: Context, id: number, run: Run): Promise<Run[]> {
  const bakeOff = store.bakeOffs.get(id);
  const link = bakeOff.runs.find(({ run_id }) => run_id === run.id)!;
  await loadBackend();
  const memory = new FeatureMemory(); // they ask the same networks about the same images
  try {
    for (const asked of evaluationsOf(store, bakeOff, link)) {
      const onProgress = (done: number, total: number, what: string) =>
        out.progress(`${run.name}, ${asked.task}, ${what}: ${done} of ${total} images`);
      await evaluate(store, { ...asked, memory, onProgress, signal });
    }
    return store.atomically(() => addLabelled(store, store.bakeOffs.get(id), link));
  } catch (error) {
    if (!(error instanceof AppError) || signal.aborted) throw error;
    sayUntended(store, run.id, error);
    out.note(`${run.name}: ${error.message}`);
    return [];
  } finally {
    if (!signal.aborted) store.bakeOffs.setTended(id, run.id, true);
  }
}

/** Pauses the runs that have not begun: a person resumes them, no queue starts them. */
function pauseRest(store: Store, places: ReadonlyMap<number, FileLock>): void {
  for (const [id, place] of places) {
    if (store.runs.get(id).status === 'queued') store.runs.update(id, { status: 'paused', ended_at: Date.now() });
    place.remove();
  }
}

function writeReport(summary: BakeOffSummary, target: Target | undefined): string | null {
  if (target === undefined) return null;
  const { path, replace } = targetOf(target);
  makeFolder(dirname(path));
  writeWhole(path, [Buffer.from(bakeOffPage(summary))], { replace });
  return path;
}

/** The table, and what it says. */
export function summaryWords({
  id,
  name,
  columns,
  rows,
  pairs,
  findings,
  notices,
  done,
  total,
}: BakeOffSummary): string {
  const main = columns.filter(({ isMain }) => isMain);
  const [judged] = main.filter(({ scale }) => scale === 'share');
  return [
    `Bake-off ${id} "${name}": ${done} of ${total} runs and evaluations are done.`,
    table(
      ['', ...main.map(({ title }) => title)],
      rows.map((row) => [
        row.title,
        ...main.map((column) => (row.cells[column.key] ? meanOf(column, row.cells[column.key]!) : NONE)),
      ]),
    ),
    'Mean ± standard deviation over seeds.',
    ...findings,
    ...pairs.filter(({ column }) => column === judged?.key).map(({ words }) => `  ${words}`),
    ...notices,
  ].join('\n');
}
