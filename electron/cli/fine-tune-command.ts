import type { Command } from 'commander';
import { Option } from 'commander';
import { AppError, fromReport } from '../../shared/errors.ts';
import type { Run } from '../../shared/run.ts';
import { capital } from '../../shared/words.ts';
import { splitSetting } from '../services/recipes/configuration.ts';
import { createFineTunings, type NewFineTuning, queueFineTunings } from '../services/runs/fine-tune.ts';
import type { Store } from '../store/store.ts';
import { withStore } from './context.ts';
import { evaluationWords, findCheckpoint, officialOption } from './model-commands.ts';
import { collect, wholeNumber } from './output.ts';
import { trainQuietly } from './run-commands.ts';

/** finetune. */
export function addFineTuneCommand(program: Command): void {
  program
    .command('finetune')
    .description('fine-tune a checkpoint on class folders, then the same network untrained, then imported weights')
    .argument('<checkpoint>', 'number of a checkpoint, or run:NAME for the latest of a run')
    .requiredOption('--dataset <name>', 'labelled images: one folder a class')
    .option('--test-dataset <name>', 'test images; without it about a fifth of each class, always the same')
    .addOption(new Option('--network <which>').choices(['student', 'teacher']).default('student'))
    .option('--official <checkpoint>', 'imported weights beside it, or "none" (else those that were imported last)')
    .option('--epochs <n>', 'passes over the images', wholeNumber('--epochs', 1))
    .option('--set <key=value>', 'change the recipe, as layer_decay=0.75; may be given again', collect, [])
    .option('--queue', 'only put the runs in the queue of the window')
    .action(
      withStore<[string]>(async (context, options, checkpoint) => {
        const { out, store, signal } = context;
        const settings = Object.fromEntries(
          (options.set as string[]).map(splitSetting).map(({ key, value }) => [key, value]),
        );
        if (options.epochs !== undefined) settings.epochs = options.epochs;
        const asked: NewFineTuning = {
          checkpoint: findCheckpoint(store, checkpoint),
          part: options.network as 'student' | 'teacher',
          dataset: options.dataset as string,
          testDataset: options.testDataset as string | undefined,
          ...officialOption(store, options.official as string | undefined),
          settings,
        };
        const listOf = (runs: readonly Run[]) => runs.map(({ id, name }) => `  run ${id} "${name}"`).join('\n');
        if (options.queue) {
          const runs = queueFineTunings(store, asked);
          out.result({ runs }, `In the queue:\n${listOf(runs)}`);
          return;
        }
        // They are this command's from the beginning: a window's queue leaves them alone, and waits for the last.
        const [runs, places] = store.atomically(() => {
          const made = createFineTunings(store, asked);
          return [made, made.map(({ id }) => store.runs.reserve(id))] as const;
        });
        try {
          for (const [i, run] of runs.entries()) {
            const { status } = store.runs.get(run.id);
            // One that was paused or stopped before its turn is left as it is.
            const mayStart = status === 'queued' && !signal.aborted;
            const after = mayStart ? (await trainQuietly(context, run, places[i])).after : { status };
            if (after.status === 'finished') continue;
            pauseRest(store, runs);
            out.result(
              { runs: runs.map(({ id }) => store.runs.get(id)) },
              `${listOf(runs)}\nRun ${run.id} is ${store.runs.get(run.id).status}; \`conmim resume RUN\` goes on with each.`,
            );
            return;
          }
        } catch (error) {
          throw sayingPaused(error, pauseRest(store, runs));
        } finally {
          pauseRest(store, runs);
          for (const place of places) place.remove();
        }
        const { group } = runs[0]!.finetune!;
        const { result } = store.evaluations.list().find((one) => one.result.group === group)!;
        out.result({ runs: runs.map(({ id }) => store.runs.get(id)), evaluation: result }, evaluationWords(result));
      }),
    );
}

/** Pauses the runs that have not begun: a person resumes them, no queue starts them. @returns those */
function pauseRest(store: Store, runs: readonly Run[]): Run[] {
  const waiting = runs.filter(({ id }) => store.runs.get(id).status === 'queued');
  for (const { id } of waiting) store.runs.update(id, { status: 'paused', ended_at: Date.now() });
  return waiting;
}

/** Why a comparison ended, with what became of the runs that had not begun. */
function sayingPaused(error: unknown, paused: readonly Run[]): unknown {
  if (!(error instanceof AppError) || paused.length === 0) return error;
  const names = paused.map(({ id, name }) => `run ${id} "${name}"`).join(' and ');
  const [are, them] = paused.length === 1 ? ['is', 'it'] : ['are', 'them'];
  const rest = `${capital(names)} ${are} paused; \`conmim resume RUN\` starts ${them}.`;
  return fromReport({ ...error.toJSON(), next: [error.next, rest].filter(Boolean).join(' ') });
}
