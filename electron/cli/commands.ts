import type { Command } from 'commander';
import { addForce } from './output-option.ts';

/** Commands that stand in one file, and how they are added to the program. */
interface CommandFile {
  names: readonly string[];
  load: () => Promise<(program: Command) => void>;
}

/** Every command, in the order of the help. A file, and all that it imports, is loaded when it is needed. */
export const COMMAND_FILES: readonly CommandFile[] = [
  {
    names: ['import', 'datasets', 'dataset', 'delete-dataset'],
    load: async () => (await import('./data-commands.ts')).addDataCommands,
  },
  { names: ['prepare', 'prepared'], load: async () => (await import('./prepare-commands.ts')).addPrepareCommands },
  {
    names: [
      'pretrain',
      'tokenizer',
      'resume',
      'runs',
      'show',
      'pause',
      'stop',
      'delete',
      'delete-checkpoint',
      'methods',
      'presets',
      'suggest',
      'settings',
    ],
    load: async () => (await import('./run-commands.ts')).addRunCommands,
  },
  {
    names: ['evaluate', 'embeddings', 'export-weights', 'import-weights', 'replay', 'doctor'],
    load: async () => (await import('./model-commands.ts')).addModelCommands,
  },
  { names: ['finetune'], load: async () => (await import('./fine-tune-command.ts')).addFineTuneCommand },
  {
    names: ['compare-methods'],
    load: async () => (await import('./compare-methods-command.ts')).addCompareMethodsCommand,
  },
  {
    names: ['rank-agreement'],
    load: async () => (await import('./rank-agreement-command.ts')).addRankAgreementCommand,
  },
  { names: ['export'], load: async () => (await import('./export-commands.ts')).addExportCommands },
  { names: ['health'], load: async () => (await import('./health-command.ts')).addHealthCommand },
  { names: ['lookups'], load: async () => (await import('./explore-commands.ts')).addExploreCommands },
  { names: ['explain'], load: async () => (await import('./explain-command.ts')).addExplainCommand },
  {
    names: ['index', 'indexes', 'retrieve', 'alike', 'travel'],
    load: async () => (await import('./retrieval-commands.ts')).addRetrievalCommands,
  },
  { names: ['features'], load: async () => (await import('./feature-commands.ts')).addFeatureCommands },
  { names: ['bench'], load: async () => (await import('./bench-commands.ts')).addBenchCommands },
  { names: ['demo'], load: async () => (await import('./demo-command.ts')).addDemoCommand },
  { names: ['serve'], load: async () => (await import('./serve-command.ts')).addServeCommand },
];

/**
 * Adds the commands that these arguments need: those of the file that has the named command, or all of them for `--help`
 * and for an unknown name, whose nearest match is then suggested.
 */
export async function addCommands(program: Command, args: readonly string[]): Promise<void> {
  const named = COMMAND_FILES.find(({ names }) => names.includes(firstWord(args)));
  for (const { load } of named ? [named] : COMMAND_FILES) (await load())(program);
  addForce(program);
}

/** The command's name: the first argument that is neither an option nor the value of `--home`. */
function firstWord(args: readonly string[]): string {
  const at = args.findIndex((arg, i) => !arg.startsWith('-') && args[i - 1] !== '--home');
  return args[at] ?? '';
}
