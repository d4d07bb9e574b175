import type { Command } from 'commander';
import { chanceOf, DESCRIPTIONS, describe, FIRST_METHOD, METHODS, PRESETS } from '../../methods/index.ts';
import { BUDGETS } from '../../shared/budgets.ts';
import { suggested } from '../../shared/command.ts';
import type { RunConfig } from '../../shared/config.ts';
import { AppError, fromReport } from '../../shared/errors.ts';
import { figureColumns, figureOf, figureWords, flat, mainFigures } from '../../shared/figures.ts';
import type { Figure, Preset, Sign } from '../../shared/method.ts';
import { followPace, timeLeftAt } from '../../shared/pace.ts';
import type { Metric, Notice, Run } from '../../shared/run.ts';
import { MOST_SEEDS, spreadOf } from '../../shared/statistics.ts';
import { type Suggestion, timeWords } from '../../shared/suggestion.ts';
import { lowerFirst } from '../../shared/text.ts';
import { bytes, dayAndTime, duration, fixed, percent, plural } from '../../shared/words.ts';
import { span } from '../processes/spans.ts';
import { listEach } from '../services/ground/list-each.ts';
import { buildConfig, describeKeys, findPreset, methodIn, requireMethod } from '../services/recipes/configuration.ts';
import { estimateCost } from '../services/recipes/estimate.ts';
import { lend, lendingNotices } from '../services/recipes/lenders.ts';
import { savedPresets } from '../services/recipes/presets.ts';
import { suggest, suggestionWords } from '../services/recipes/suggest.ts';
import { alarmOfRun } from '../services/runs/alarms.ts';
import {
  asRun,
  createReserved,
  deleteRun,
  inOrderOfDeletion,
  recoverLostRuns,
  requestRun,
  requireDeletable,
  seedName,
  startRun,
  waitUntilIdle,
  withSeeds,
} from '../services/runs/runs.ts';
import type { FileLock } from '../store/file-lock.ts';
import type { RunHead } from '../store/runs.ts';
import type { Store } from '../store/store.ts';
import type { TrainerMessage } from '../trainer/protocol.ts';
import type { Context } from './context.ts';
import { unhurried, withOutput, withStore } from './context.ts';
import { damagedWords } from './damaged-words.ts';
import { collect, wholeNumber } from './output.ts';
import { table } from './table.ts';

/** Without a terminal a line of progress is written this often, ms. */
const LINE_EVERY = 10_000;

/** Arguments, options and action of a command that trains. @param preset what it starts from unless told otherwise */
function addTraining(command: Command, fallback?: string): Command {
  return command
    .argument('[dataset]', 'name of the dataset')
    .option('--preset <name>', 'recipe to start from (`conmim presets`)', fallback)
    .option('--set <key=value>', 'change a setting (`conmim settings`); may be given again', collect, [])
    .option('--epochs <n>', 'passes over the images', wholeNumber('--epochs', 1))
    .option('--steps <n>', 'optimizer steps, instead of epochs', wholeNumber('--steps', 1))
    .option('--name <name>', 'name of the run')
    .option('--seeds <n>', 'one run after the other, with so many seeds: one group in Runs', wholeNumber('--seeds', 1))
    .option('--resume <run>', 'go on with a run')
    .action(
      withStore<[string | undefined]>(async (context, options, dataset) => {
        const { store } = context;
        if (options.resume !== undefined) {
          await train(context, findRun(context, options.resume as string));
          return;
        }
        if (!dataset)
          throw new AppError(
            'bad-input',
            'Which dataset?',
            '',
            `Name one: \`${suggested(command.name(), ['DATASET'], '', process.platform)}\`; \`conmim datasets\` lists them.`,
          );
        if (options.seeds !== undefined && (options.seeds as number) > MOST_SEEDS)
          throw new AppError('bad-input', `--seeds is 1 to ${MOST_SEEDS}, not ${options.seeds}.`);
        if (options.epochs !== undefined && options.steps !== undefined)
          throw new AppError('bad-input', '--epochs and --steps exclude each other.', '', 'Give one of them.');
        const settings = [...(options.set as string[])];
        const planned = options.plan === undefined ? null : await planAsked(context, dataset, options);
        if (planned) settings.unshift(...Object.entries(planned.changes).map(([key, value]) => `${key}=${value}`));
        if (options.epochs !== undefined) settings.push(`train.epochs=${options.epochs}`, 'train.steps=null');
        if (options.steps !== undefined) settings.push(`train.steps=${options.steps}`);
        const { preset, config } = buildConfig(
          planned?.preset ?? presetAsked(options, savedPresets(store)),
          settings,
          savedPresets(store),
        );
        if (!(await trainLenders(context, dataset, config))) return;
        const seeds = (options.seeds as number | undefined) ?? 1;
        if (seeds > 1) {
          const base = (options.name as string | undefined) ?? `${store.datasets.get(dataset).name} run`;
          await trainSeeds(context, { dataset, preset: preset.name, base, configs: withSeeds(config, seeds) });
          return;
        }
        const made = span('run made');
        const { run, place } = createReserved(store, {
          dataset,
          config,
          preset: preset.name,
          ...(options.name !== undefined && { name: options.name as string }),
        });
        made();
        await train(context, run, place);
      }),
    );
}

/** The suggestion of `--plan`. @throws AppError bad-input for one that is not there, and beside what it says itself */
async function planAsked(
  { store, out, signal }: Context,
  dataset: string,
  options: Record<string, unknown>,
): Promise<Suggestion> {
  const beside = ['preset', 'method', 'epochs', 'steps'].filter((name) => options[name] !== undefined);
  if (beside.length > 0)
    throw new AppError(
      'bad-input',
      `--plan and --${beside[0]} exclude each other.`,
      'A plan says which preset, and how many steps.',
      'Give one of them.',
    );
  const budget = BUDGETS.find(({ key }) => key === options.plan);
  if (!budget)
    throw new AppError(
      'bad-input',
      `There is no plan "${options.plan}".`,
      '',
      `Plans: ${BUDGETS.map(({ key, minutes }) => `${key} (${timeWords(minutes)})`).join(', ')}.`,
    );
  out.progress('measuring how fast this machine is');
  const { list } = await suggest(store, store.datasets.get(dataset), signal);
  const found = list.find((one) => one.budget === budget)!;
  out.note(suggestionWords(found));
  return found;
}

/** What a training starts from: `--preset`, else the first one of `--method`. @throws AppError bad-input where they differ */
function presetAsked({ preset, method: name }: Record<string, unknown>, saved: readonly Preset[]): string | undefined {
  if (name === undefined) return preset as string | undefined;
  const method = requireMethod(name as string);
  if (preset === undefined) return method.defaultPreset;
  const chosen = methodIn(findPreset(preset as string, saved).config);
  if (chosen.name !== method.name)
    throw new AppError(
      'bad-input',
      `Preset "${preset}" is one of ${chosen.title}, not of ${method.title}.`,
      '',
      `Leave out one of the two; \`conmim presets --method ${method.name}\` lists those of ${method.title}.`,
    );
  return preset as string;
}

/** pretrain, runs, show, pause, resume, stop, delete, delete-checkpoint, methods, presets, settings. */
export function addRunCommands(program: Command): void {
  addTraining(program.command('pretrain').description('pretrain on a dataset; Ctrl-C pauses and saves'))
    .option('--method <name>', 'with the preset for a small machine of this method (`conmim methods`)')
    .option('--plan <time>', `as \`conmim suggest\` says: ${BUDGETS.map(({ key }) => key).join(', ')}`);
  for (const { command, defaultPreset } of METHODS)
    if (command) addTraining(program.command(command.name).description(command.description), defaultPreset);

  program
    .command('resume')
    .description('go on with a run that was paused, stopped or interrupted, exactly where its last checkpoint is')
    .argument('<run>')
    .action(
      withStore<[string]>(async (context, _, run) => {
        await train(context, findRun(context, run));
      }),
    );

  program
    .command('runs')
    .description('list runs')
    .action(
      withStore(({ out, store }) => {
        recoverLostRuns(store);
        const notices = store.notices.counts();
        const { rows: runs, damaged } = listEach(store.runs, (run) => ({
          ...run,
          last: store.metrics.last(run.id),
          alarm: alarmOfRun(store, run),
          notices: notices.get(run.id) ?? 0,
        }));
        const columns = figureColumns(runs.map(describe), DESCRIPTIONS);
        const rows = runs.map((r) => [
          r.id,
          r.name,
          [
            r.status,
            ...(r.alarm ? [r.alarm.word] : []),
            ...(r.notices > 0 ? [r.notices === 1 ? 'a notice' : `${r.notices} notices`] : []),
          ].join(', '),
          `${r.step}/${r.total_steps}`,
          fixed(r.last?.loss, 3),
          ...columns.map((one) => (one.methods.includes(describe(r).name) ? shown(one, r.last) : '')),
          dayAndTime(r.created_at),
        ]);
        out.result(
          [
            ...runs.map((run) => ({ ...run, last: flatOf(run, run.last) })),
            ...damaged.map(({ id, name, error }) => ({ id, name, damaged: error })),
          ],
          [
            runs.length > 0
              ? table(
                  [
                    'run',
                    'name',
                    'status',
                    'step',
                    'loss',
                    ...columns.map(({ title }) => title.toLowerCase()),
                    'created',
                  ],
                  rows,
                )
              : damaged.length > 0
                ? ''
                : 'No run yet: `conmim pretrain DATASET` starts one.',
            ...damagedWords('run', damaged),
          ]
            .filter(Boolean)
            .join('\n'),
        );
      }),
    );

  program
    .command('show')
    .description('show a run: configuration, metrics, checkpoints, evaluations')
    .argument('<run>')
    .option('--metrics <n>', 'points of the curves, downsampled', wholeNumber('--metrics', 2), 20)
    .action(
      withStore<[string]>((context, options, id) => {
        const { out, store } = context;
        recoverLostRuns(store);
        const run = findRun(context, id);
        const checkpoints = store.checkpoints.list(run.id);
        const metrics = store.metrics.sampled(run.id, options.metrics as number);
        const evaluations = store.evaluations.list({ run_id: run.id });
        const notices = store.notices.list(run.id);
        const alarm = alarmOfRun(store, run);
        const columns = curveColumns(run);
        const words = [
          `Run ${run.id} "${run.name}" is ${run.status}, step ${run.step} of ${run.total_steps}.`,
          ...(run.error ? [`  ${run.error.what}`, `  ${run.error.why}`, `  ${run.error.next}`] : []),
          ...figures(run, store.metrics.last(run.id)),
          ...notices.map(noticeWords),
          ...alarmWords(alarm),
          '',
          table(
            ['step', 'loss', ...columns.map(({ title }) => title.toLowerCase()), 'grad norm', 'images/s'],
            metrics.map((m) => [
              m.step,
              m.loss.toFixed(3),
              ...columns.map((one) => shown(one, m)),
              m.grad_norm.toFixed(2),
              m.images_per_s.toFixed(1),
            ]),
          ),
          '',
          checkpoints.length > 0
            ? table(
                ['checkpoint', 'step', 'loss', 'size', 'with optimizer', 'best'],
                checkpoints.map((c) => [
                  c.id,
                  c.step,
                  fixed(c.loss, 3),
                  bytes(c.bytes),
                  c.has_optimizer ? 'yes' : 'no',
                  c.is_best ? 'best' : '',
                ]),
              )
            : 'No checkpoint yet.',
        ];
        out.result(
          { ...run, alarm, notices, metrics: metrics.map((metric) => flatOf(run, metric)), checkpoints, evaluations },
          words.join('\n'),
        );
      }),
    );

  for (const order of ['pause', 'stop'] as const) {
    program
      .command(order)
      .description(
        order === 'pause' ? 'pause a run after the step it is in, with a checkpoint' : 'end a run, with a checkpoint',
      )
      .argument('<run>')
      .option('--wait <seconds>', 'how long to wait for it', wholeNumber('--wait', 0), 120)
      .action(
        withStore<[string]>(async (context, options, id) => {
          const { out, store, signal } = context;
          const asked = requestRun(store, findRun(context, id).id, order);
          const run = await waitUntilIdle(store, asked.id, 1000 * (options.wait as number), signal);
          if (run.status === 'running')
            throw new AppError(
              'conflict',
              `Run ${run.id} has been asked to ${order}, and has not done so yet.`,
              'It will, after the step that it is in.',
              `\`conmim show ${run.id}\` says how it stands.`,
            );
          out.result(run, `Run ${run.id} is ${run.status} at step ${run.step}.`);
        }),
      );
  }

  program
    .command('delete')
    .description('delete runs with their metrics and checkpoints, and give the space back')
    .argument('<runs...>')
    .action(
      withStore<[string[]]>((context, _, ids) => {
        recoverLostRuns(context.store);
        const runs = [...new Map(ids.map((id) => context.store.runs.head(id)).map((run) => [run.id, run])).values()];
        const { length: gone } = waitingEvaluations(context.store, runs);
        const freed = deleteAll(context.store, runs);
        context.out.result(
          { deleted: runs.map((r) => r.id), bytes_freed: freed },
          `Deleted ${runs.length === 1 ? `run ${runs[0]!.id}` : plural(runs.length, 'run')}; ${bytes(freed)} ` +
            `freed.${gone > 0 ? ` Deleted too: ${gone === 1 ? 'an evaluation' : `${gone} evaluations`} that waited in the queue.` : ''}`,
        );
      }),
    );

  program
    .command('delete-checkpoint')
    .description('delete one checkpoint, for example a damaged one; its run goes on from the one before')
    .argument('<checkpoint>', 'its number, as `conmim show` lists it', wholeNumber('checkpoint', 1))
    .action(
      withStore<[number]>(({ out, store }, _, id) => {
        recoverLostRuns(store);
        const run = store.runs.head(store.checkpoints.runOf(id));
        if (run.status === 'running')
          throw new AppError(
            'conflict',
            `Run ${run.id} is running.`,
            '',
            `Pause it first: \`conmim pause ${run.id}\`.`,
          );
        const freed = store.checkpoints.delete(id);
        out.result(
          { deleted: id, run: run.id, bytes_freed: freed },
          `Deleted checkpoint ${id} of run "${run.name}"; ${bytes(freed)} freed.`,
        );
      }),
    );

  program
    .command('methods')
    .description('list the methods: what each learns from, its paper, the preset to begin with')
    .action(
      withOutput((out) => {
        out.result(
          METHODS.map(({ name, title, paper, about, defaultPreset, command }) => ({
            name,
            title,
            paper,
            about,
            preset: defaultPreset,
            command: command?.name ?? `pretrain --method ${name}`,
          })),
          METHODS.map((method) =>
            [
              `${method.name}: ${method.title}`,
              `  ${method.about}`,
              `  paper: ${method.paper.title} (arXiv ${method.paper.arxiv}, ${method.paper.year})`,
              `  begin: ${suggested(method.command?.name ?? 'pretrain', ['DATASET'], method.command ? '' : `--method ${method.name}`, process.platform)}`,
              `  its settings: ${suggested('settings', [], `--method ${method.name}`, process.platform)}`,
            ].join('\n'),
          ).join('\n\n'),
        );
      }),
    );

  program
    .command('presets')
    .description('list recipes; with --dataset, what each would cost on this machine')
    .option('--dataset <name>', 'measure a short warm-up and estimate time and memory for this dataset')
    .option('--preset <name>', 'only this one')
    .option('--method <name>', `only those of a method: ${METHODS.map(({ name }) => name).join(', ')}`)
    .action(
      withStore(async ({ out, store, signal }, options) => {
        const method = options.method === undefined ? null : requireMethod(options.method as string);
        const chosen = PRESETS.filter(
          (p) =>
            (options.preset === undefined || p.name === options.preset) &&
            (method === null || p.config.method?.name === method.name),
        );
        if (chosen.length === 0) buildConfig(options.preset as string, []); // says which is nearest
        const rows = [];
        for (const preset of chosen) {
          const { config } = buildConfig(preset.name, []);
          let cost = null;
          if (options.dataset !== undefined) {
            out.progress(`measuring ${preset.name}`);
            const dataset = store.datasets.get(options.dataset as string);
            const lent = lend(store, dataset, config).config;
            cost = await estimateCost(lent, store.images.count(dataset.id, 'ok'), signal);
          }
          rows.push({ ...preset, cost });
        }
        const words = rows.map((r) =>
          [
            `${r.name}: ${r.title}`,
            `  for: ${r.meant_for}`,
            `  source: ${r.source}`,
            ...(r.expected === undefined ? [] : [`  measured: ${r.expected}`]),
            ...(r.cost
              ? [
                  `  here: ${duration(r.cost.seconds * 1000)}, ${r.cost.images_per_s.toFixed(1)} images/s, peak memory ` +
                    `${bytes(r.cost.peak_memory)}, ${bytes(r.cost.checkpoint_bytes)} a checkpoint ` +
                    `(${r.cost.how})${r.cost.warning ? `\n  ⚠ ${r.cost.warning}` : ''}`,
                ]
              : []),
          ].join('\n'),
        );
        out.result(rows, words.join('\n\n'));
      }),
    );

  program
    .command('suggest')
    .description(
      'say what to train on a dataset in minutes, in an hour, overnight: by its images, and the speed of this machine',
    )
    .argument('<dataset>')
    .action(
      withStore<[string]>(async ({ out, store, signal }, _, name) => {
        const dataset = store.datasets.get(name);
        out.progress('measuring how fast this machine is');
        const { facts, list } = await suggest(store, dataset, signal);
        out.result(
          { ...facts, suggestions: list },
          [
            `${plural(facts.images, 'image')} of about ${facts.width} x ${facts.height} px`,
            ...list.map(
              (one) =>
                `${one.budget.title}: ${suggestionWords(one)}\n  ` +
                suggested('pretrain', [dataset.name], ` --plan ${one.budget.key}`, process.platform),
            ),
          ].join('\n\n'),
        );
      }),
    );

  program
    .command('settings')
    .description('list every setting of a method with its default and meaning')
    .option('--method <name>', `one of ${METHODS.map(({ name }) => name).join(', ')}`, FIRST_METHOD)
    .action(
      withOutput((out, _, options) => {
        const method = requireMethod(options.method as string);
        const settings = describeKeys(method);
        out.result(
          settings,
          settings.map((s) => `${s.key} = ${JSON.stringify(s.default)}\n    ${s.description}`).join('\n'),
        );
      }),
    );
}

/** Evaluations of runs that wait in the queue, and go with them. */
const waitingEvaluations = (store: Store, runs: readonly RunHead[]) =>
  store.queuedEvaluations.list().filter((one) => one.error === null && runs.some(({ id }) => id === one.run_id));

/** Deletes runs, each once. If one cannot be deleted, the error says which were before it. @returns bytes freed */
function deleteAll(store: Store, runs: readonly RunHead[]): number {
  requireDeletable(
    store,
    runs.map(({ id }) => id),
  );
  const deleted: string[] = [];
  let freed = 0;
  for (const { id } of inOrderOfDeletion(runs)) {
    try {
      freed += deleteRun(store, id);
      deleted.push(String(id));
    } catch (error) {
      if (deleted.length === 0 || !(error instanceof AppError)) throw error;
      const why = `${error.why} Deleted before it: ${deleted.join(', ')}.`.trim();
      throw new AppError(error.kind, error.message, why, error.next, { cause: error });
    }
  }
  return freed;
}

const noticeWords = ({ step, text }: Notice) => `  notice, step ${step}: ${text}`;

function findRun({ store }: Context, idOrName: string): Run {
  recoverLostRuns(store);
  return store.runs.get(/^\d+$/.test(idOrName) ? Number(idOrName) : idOrName);
}

/** A figure in a table: empty where it was not measured. */
function shown(figure: Pick<Figure, 'key' | 'scale'>, metric: Pick<Metric, 'figures'> | null): string {
  const value = metric?.figures[figure.key] ?? null;
  return value === null ? '' : figureWords(figure, value);
}

/** A step as `--json` has it: every figure of the run's method, null where it was not measured. */
const flatOf = (run: Run, metric: Metric | null) => flat(metric, describe(run).figures);

/** Figures of a run's curve that are listed: the main ones, and of each chart with few points the first. */
function curveColumns(run: Run): Figure[] {
  const method = describe(run);
  const seldom = method.charts.flatMap(({ isSparse, lines }) => (isSparse ? [lines[0]!.key] : []));
  return method.figures.filter(({ key, isMain }) => isMain || seldom.includes(key));
}

/** The latest figures, with what to compare them with. */
export function figures(
  run: Pick<Run, 'config' | 'finetune'>,
  last: Pick<Metric, 'loss' | 'figures'> | null,
): string[] {
  if (!last) return [];
  const { loss, words, figures } = chanceOf(run);
  const compared = Number.isNaN(loss) ? '' : ` (nothing learned: ${words} = ${loss.toFixed(3)})`;
  return [
    `  loss ${last.loss.toFixed(3)}${compared}`,
    ...describe(run).figures.flatMap((one) => {
      const value = shown(one, last);
      if (value === '') return [];
      const chance = one.key in figures ? ` (chance ${figureWords(one, figures[one.key])})` : '';
      return [`  ${lowerFirst(one.title)} ${value}${chance}: ${lowerFirst(one.about)}`];
    }),
  ];
}

/** What goes wrong with a run, and what to do. */
const alarmWords = (alarm: Sign | null): string[] => (alarm ? [`  Alarm: ${alarm.text}`, `    ${alarm.advice}`] : []);

/** Trains in a process of its own, shows how it goes, and says how it ended. */
export async function train(context: Context, run: Run, reserved?: FileLock): Promise<Run> {
  const { after, words } = await trainQuietly(context, run, reserved);
  const { out, store } = context;
  out.result(
    {
      ...after,
      last: flatOf(run, store.metrics.last(run.id)),
      alarm: alarmOfRun(store, after),
      checkpoints: store.checkpoints.list(run.id),
      notices: store.notices.list(run.id),
    },
    words.join('\n'),
  );
  return after;
}

/** Trains one recipe with several seeds, one after the other, and says what the figures are with their intervals. */
async function trainSeeds(
  context: Context,
  of: { dataset: string; preset: string; base: string; configs: readonly RunConfig[] },
): Promise<void> {
  const { out, store } = context;
  const done: Run[] = [];
  for (const config of of.configs) {
    const name = store.runs.freeName(seedName(of.base, config));
    const { run, place } = createReserved(store, { dataset: of.dataset, config, preset: of.preset, name });
    const { after, words } = await trainQuietly(context, run, place);
    if (after.status !== 'finished') {
      const left = of.configs.length - done.length - 1;
      out.result(after, [...words, `  ${plural(left, 'seed')} after it did not begin.`].join('\n'));
      return;
    }
    out.note(words[0]!);
    done.push(after);
  }
  const lasts = done.map(({ id }) => store.metrics.last(id));
  const keys = [{ key: 'loss', title: 'Loss', scale: 'plain' as const }, ...describe(done[0]!).figures];
  const measured = keys.flatMap(({ key, title, scale }) => {
    const values = lasts.flatMap((last) => (last && figureOf(last, key)) ?? []);
    const spread = spreadOf(values);
    return spread ? [{ key, title, scale, spread }] : [];
  });
  out.result(
    {
      runs: done.map((run, i) => ({ ...run, last: flatOf(run, lasts[i]!) })),
      figures: Object.fromEntries(measured.map(({ key, spread }) => [key, spread])),
    },
    [
      `${plural(done.length, 'run')} are finished: ${done.map(({ id, name }) => `${id} "${name}"`).join(', ')}.`,
      ...measured.map(({ title, scale, spread: { mean, interval } }) => {
        const within = interval?.map((value) => figureWords({ scale }, value)).join(' to ');
        return `  ${lowerFirst(title)} ${figureWords({ scale }, mean)}${within ? `, with 95 % confidence ${within}` : ', of one seed'}`;
      }),
    ].join('\n'),
  );
}

/**
 * Trains first what a run takes over, where no run of the dataset can lend it.
 * @returns whether all of it is there; else the last one was paused, and that is printed
 */
async function trainLenders(context: Context, dataset: string, config: RunConfig): Promise<boolean> {
  const { out, store } = context;
  const lent = lend(store, store.datasets.get(dataset), config);
  for (const text of lendingNotices(lent)) out.note(text);
  for (const one of lent.missing) {
    const { run, place } = createReserved(store, { dataset, ...asRun(store, one) });
    const { after, words } = await trainQuietly(context, run, place);
    if (after.status !== 'finished') {
      out.result(after, [...words, '  Then give this command again: it takes over what was trained.'].join('\n'));
      return false;
    }
    out.note(words[0]!);
  }
  return true;
}

/** Trains as `train` does, without printing the end. */
export async function trainQuietly({ out, store, database, signal }: Context, run: Run, reserved?: FileLock) {
  let lineAt = -LINE_EVERY; // by a clock that nobody sets
  let from = run.step;
  let pace: number | null = null;
  const tell = (message: TrainerMessage) => {
    switch (message.type) {
      case 'started':
        from = message.from_step;
        out.note(
          (
            `Run ${run.id} "${run.name}": ${from > 0 ? `goes on from step ${from} of` : ''} ${message.total_steps} steps on ` +
            `${message.backend.device} (${message.backend.name}). Ctrl-C pauses.`
          ).replace('  ', ' '),
        );
        for (const warning of message.backend.warnings) out.note(warning);
        break;
      case 'notice':
        out.note(message.text);
        break;
      case 'metric': {
        const m = message.metric;
        // A line of the last steps' mean would hide a step; it is the step's own figures.
        const found = mainFigures(describe(run)).map(
          (one) => `${lowerFirst(one.title)} ${figureWords(one, figureOf(m, one.key))}  `,
        );
        const line =
          `step ${m.step}/${run.total_steps}  loss ${m.loss.toFixed(3)}  ${found.join('')}${m.images_per_s.toFixed(1)} images/s  ` +
          `data wait ${percent(m.data_wait)}`;
        pace = followPace(pace, m);
        const left = `${duration(timeLeftAt(pace, { ...run, step: m.step }) ?? 0)} left`;
        if (out.hasBar) out.progress(line, left);
        else if (performance.now() - lineAt > LINE_EVERY) {
          out.note(`${line}  ${left}`);
          lineAt = performance.now();
        }
        break;
      }
    }
  };
  const handle = startRun(store, database, run.id, tell, reserved);
  const pause = () => {
    out.note('Pausing: the step is finished and a checkpoint written.');
    handle.pause();
  };
  signal.addEventListener('abort', pause, { once: true });
  if (signal.aborted) pause();
  const end = await unhurried(() => handle.ended);
  signal.removeEventListener('abort', pause);
  const after = store.runs.get(run.id);
  const last = store.metrics.last(run.id);
  if (end.error) throw fromReport(end.error);
  const words = [
    `Run ${run.id} is ${after.status} at step ${after.step} of ${after.total_steps}.`,
    ...figures(after, last),
    ...store.notices.list(run.id).map(noticeWords),
    ...alarmWords(alarmOfRun(store, after)),
  ];
  if (after.status === 'paused') words.push(`  \`conmim resume ${run.id}\` goes on.`);
  return { after, words };
}
