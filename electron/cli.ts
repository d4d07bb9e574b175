#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { AppError } from '../shared/errors.ts';
import { exactJson, printableLines } from '../shared/printable.ts';
import { addCommands } from './cli/commands.ts';
import { interruption } from './cli/interruption.ts';
import { Output, watchOutput } from './cli/output.ts';
import { VERSION } from './files/project.ts';
import { sinceStart } from './processes/spans.ts';

watchOutput();
const isJson = process.argv.includes('--json');
// Before the commands are loaded, which takes a while: a signal is heard from here on.
interruption.listen(new Output(isJson));

const program = new Command('conmim')
  .description('Pretrain a Vision Transformer on a folder of unlabelled images, and see what it learned.')
  .option('--json', 'print one JSON document on standard output and nothing else')
  .option(
    '--home <folder>',
    'where datasets, runs and checkpoints are kept (else CONMIM_HOME, else the data folder of the user)',
  )
  .version(isJson ? exactJson({ version: VERSION }) : VERSION, '-V, --version', 'print the version of this program')
  .configureOutput({
    writeOut: (text) => process.stdout.write(printableLines(text)),
    writeErr: (text) => process.stderr.write(printableLines(text)),
  })
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
    if (error.exitCode !== 0 && isJson) {
      new Output(true).error(
        new AppError('bad-input', error.message.replace(/^error: /, ''), '', 'See `conmim --help`.'),
      );
    }
    process.exitCode = error.exitCode;
  } else {
    new Output(isJson).error(error);
    process.exitCode = 1;
  }
}
