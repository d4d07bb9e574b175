import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { addCommands, COMMAND_FILES } from '../../electron/cli/commands.ts';

const namesOf = (program: Command) => program.commands.map((command) => command.name());

test('every file has the commands that are looked for in it', async () => {
  for (const { names, load } of COMMAND_FILES) {
    const program = new Command();
    (await load())(program);
    expect(namesOf(program).sort()).toEqual([...names].sort());
  }
});

test('what was asked for is loaded, wherever it stands; all is for a help or a slip', async () => {
  const loaded = async (...args: string[]) => {
    const program = new Command();
    await addCommands(program, args);
    return namesOf(program);
  };
  const all = COMMAND_FILES.flatMap(({ names }) => names);
  expect(await loaded('finetune', 'run:first')).toEqual(['finetune']);
  expect(await loaded('--json', '--home', 'export', 'finetune')).toEqual(['finetune']);
  for (const args of [[], ['--help'], ['help', 'finetune'], ['fintune'], ['--home']])
    expect((await loaded(...args)).sort(), args.join(' ')).toEqual([...all].sort());
});

test('starting a run loads no arithmetic into the command', () => {
  const cli = join(import.meta.dirname, '../../out/electron/cli.js');
  const list = `import Module from 'node:module';
    const loaded = () => Object.keys(Module._cache).filter((path) => path.includes('@tensorflow'));
    process.on('exit', () => process.stderr.write(loaded().join('\\n')));`;
  const arithmetic = (command: string) =>
    spawnSync(
      process.execPath,
      ['--import', `data:text/javascript,${encodeURIComponent(list)}`, cli, command, '--help'],
      { encoding: 'utf8' },
    ).stderr;
  expect(arithmetic('pretrain')).toBe('');
  expect(arithmetic('lookups')).toContain('tfjs-core');
});
