#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { AppError } from '../shared/errors.ts';
import { addCommands } from './cli/commands.ts';
import { Output } from './cli/output.ts';
import { sinceStart } from './trainer/spans.ts';

const program = new Command('conmim')
  .description('Pretrain a Vision Transformer on a folder of unlabelled images with ConMIM, and see what it learned.')
  .option('--json', 'print one JSON document on standard output and nothing else')
  .option(
    '--home <folder>',
    'where datasets, runs and checkpoints are kept (else CONMIM_HOME, else the data folder of the user)',
  )
  .showSuggestionAfterError()
  .configureHelp({ showGlobalOptions: true });

await addCommands(program, process.argv.slice(2));
// Options of the whole program may stand behind the command: `conmim runs --json`.
for (const command of program.commands.filter((one) => one.commands.length === 0)) {
  command
    .option('--json', 'print one JSON document on standard output and nothing else')
    .option('--home <folder>', 'where everything is kept');
}

sinceStart('command loaded');
program.exitOverride();
for (const command of program.commands) command.exitOverride();
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Its own words are already on standard error (help on standard output).
    if (error.exitCode !== 0 && process.argv.includes('--json')) {
      new Output(true).error(
        new AppError('bad-input', error.message.replace(/^error: /, ''), '', 'See `conmim --help`.'),
      );
    }
    process.exitCode = error.exitCode;
  } else {
    new Output(process.argv.includes('--json')).error(error);
    process.exitCode = 1;
  }
}
