import type { Command } from 'commander';
import { Option } from 'commander';
import { splitSetting } from '../services/configuration.ts';
import type { EvaluationResult } from '../services/evaluation.ts';
import { createFineTunings } from '../services/fine-tune.ts';
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
    .option('--test-dataset <name>', 'test images; without it a fixed fifth of each class')
    .addOption(new Option('--network <which>').choices(['student', 'teacher']).default('student'))
    .option('--official <checkpoint>', 'imported weights beside it, or "none" (else those that were imported last)')
    .option('--epochs <n>', 'passes over the images', wholeNumber('--epochs', 1))
    .option('--set <key=value>', 'change the recipe, as layer_decay=0.75; may be given again', collect, [])
    .option('--queue', 'only put the runs in the queue of the window')
    .action(
      withStore<[string]>(async (context, options, checkpoint) => {
        const { out, store } = context;
        const settings = Object.fromEntries(
          (options.set as string[]).map(splitSetting).map(({ key, value }) => [key, value]),
        );
        if (options.epochs !== undefined) settings.epochs = options.epochs;
        const runs = createFineTunings(store, {
          checkpoint: findCheckpoint(store, checkpoint),
          part: options.network as 'student' | 'teacher',
          dataset: options.dataset as string,
          testDataset: options.testDataset as string | undefined,
          ...officialOption(store, options.official as string | undefined),
          settings,
        });
        for (const { id } of runs) store.queue.put({ kind: 'run', id });
        const list = runs.map(({ id, name }) => `  run ${id} "${name}"`).join('\n');
        if (options.queue) {
          out.result({ runs }, `In the queue:\n${list}`);
          return;
        }
        for (const run of runs) {
          store.runs.update(run.id, { queue_position: null });
          const { after } = await trainQuietly(context, run);
          if (after.status === 'finished') continue;
          const rest = runs.map(({ id }) => store.runs.get(id));
          out.result(
            { runs: rest },
            `${list}\nRun ${run.id} is ${after.status}; \`conmim resume RUN\` goes on with each.`,
          );
          return;
        }
        const { group } = runs[0]!.finetune!;
        const { result } = store.evaluations.list().find((one) => one.result.group === group)!;
        out.result(
          { runs: runs.map(({ id }) => store.runs.get(id)), evaluation: result },
          evaluationWords(result as unknown as EvaluationResult),
        );
      }),
    );
}
