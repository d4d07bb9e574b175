import { Command, CommanderError } from 'commander';
import { AppError } from '../../shared/errors.ts';
import { exactJson, printableLines } from '../../shared/printable.ts';
import { VERSION } from '../files/project.ts';
import { sinceStart } from '../processes/spans.ts';
import { addCommands } from './commands.ts';
import { Output } from './output.ts';

/** The program with the commands that these arguments need, and with what they all understand. */
export async function programFor(args: readonly string[]): Promise<Command> {
  const program = new Command('conmim')
    .description('Pretrain a Vision Transformer on a folder of unlabelled images, and see what it learned.')
    .option('--json', 'print one JSON document on standard output and nothing else')
    .option(
      '--home <folder>',
      'where datasets, runs and checkpoints are kept (else CONMIM_HOME, else the data folder of the user)',
    )
    .version(
      args.includes('--json') ? exactJson({ version: VERSION }) : VERSION,
      '-V, --version',
      'print the version of this program',
    )
    .configureOutput({
      writeOut: (text) => process.stdout.write(printableLines(text)),
      writeErr: (text) => process.stderr.write(printableLines(text)),
    })
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true });
  await addCommands(program, args);
  // Options of the whole program may stand behind the command: `conmim runs --json`.
  for (const command of program.commands.filter((one) => one.commands.length === 0)) {
    command
      .option('--json', 'print one JSON document on standard output and nothing else')
      .option('--home <folder>', 'where everything is kept');
  }
  program.exitOverride();
  for (const command of program.commands) command.exitOverride();
  return program;
}

/** Does what the arguments say; `process.exitCode` says how it went. */
export async function runProgram(args: readonly string[]): Promise<void> {
  const program = await programFor(args);
  sinceStart('command loaded');
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    const isJson = args.includes('--json');
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
}
