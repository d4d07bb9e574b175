import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import type { Command } from 'commander';
import { afterEach, expect, test, vi } from 'vitest';
import { OutputArgument, OutputOption } from '../../electron/cli/output-option.ts';
import { programFor } from '../../electron/cli/program.ts';
import { scratch } from '../store/helpers.ts';
import { given } from './here.ts';

/** What each command that writes where it is told to is given, by command and output. `beside`: what goes with it. */
const COMMANDS: Record<
  string,
  { args: string[]; file?: string; beside?: string[]; folder?: string[]; makesFolder?: boolean }
> = {
  'embeddings --out': { args: ['1', '--dataset', 'd', '--out'], file: 'x.npy', beside: ['x.index.csv'] },
  'export-weights <file>': { args: ['1'], file: 'x.safetensors' },
  'export --out': { args: ['1', '--format', 'onnx', '--out'], file: 'x.onnx', beside: ['x.onnx.md'] },
  'health --out': { args: ['1', '--dataset', 'd', '--out'], file: 'x.html', makesFolder: true },
  'lookups --png': { args: ['1', '--dataset', 'd', '--png'], file: 'x.png', makesFolder: true },
  'features --out': { args: ['1', '--dataset', 'd', '--view', 'colours', '--out'], file: 'x.png', makesFolder: true },
  'retrieve --png': {
    args: ['1', '--dataset', 'd', '--image', 'i', '--patch', '1,1', '--png'],
    file: 'x.png',
    makesFolder: true,
  },
  'travel --png': {
    args: ['r', '--dataset', 'd', '--image', 'i', '--patch', '1,1', '--png'],
    file: 'x.png',
    makesFolder: true,
  },
  'explain --png': { args: ['1', '--dataset', 'd', '--image', 'i', '--png'], file: 'x.png', makesFolder: true },
  'compare-methods --report': { args: ['d', '--images', '9', '--report'], file: 'x.html', makesFolder: true },
  'replay <out>': { args: ['from'], folder: ['result.json', 'tokens.eval.safetensors'] },
  'bench loader --folder': { args: ['--files', '3', '--folder'], folder: ['1002.jpg'] },
  'demo --out': { args: ['--out'], folder: [] }, // its sheet takes a name that is free
};
/** Options and arguments that name what is read, or where the program keeps its own. */
const READ = [
  '--home <folder>',
  '--folder <start>',
  '--files <n>',
  '--image <path>',
  '--file <file>',
  '<file>',
  '<folders...>',
  '<folder>',
];

const all = (program: Command): Command[] => program.commands.flatMap((one) => [one, ...all(one)]);
const nameOf = (command: Command): string =>
  command.parent?.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();

test('every place that a command writes to is known here, and nothing else looks like one', async () => {
  const commands = all(await programFor([]));
  const found = commands.flatMap((command) => [
    ...command.options.filter((one) => one instanceof OutputOption).map((one) => `${nameOf(command)} ${one.long}`),
    ...command.registeredArguments
      .filter((one) => one instanceof OutputArgument)
      .map((one) => `${nameOf(command)} <${one.name()}>`),
  ]);
  expect(found.sort()).toEqual(Object.keys(COMMANDS).sort());
  const others = commands.flatMap((command) => [
    ...command.options.filter((one) => !(one instanceof OutputOption)).map((one) => one.flags),
    ...command.registeredArguments
      .filter((one) => !(one instanceof OutputArgument))
      .map((one) => (one.variadic ? `<${one.name()}...>` : `<${one.name()}>`)),
  ]);
  const isPlace = (flags: string) => /file|folder|path|out\b|png|svg|csv|html|dir\b/i.test(flags);
  const unknown = others.filter((flags) => isPlace(flags) && !READ.includes(flags));
  expect(unknown).toEqual([]);
});

let said = '';
let status = 0;
async function run(...args: string[]): Promise<string> {
  ({ said, status } = await given(...args));
  return said;
}
afterEach(() => {
  vi.unstubAllEnvs();
});

test.each(Object.entries(COMMANDS))(
  '%s asks before it writes over anything, and before it computes',
  async (name, to) => {
    const here = scratch();
    const home = join(here, 'home');
    vi.stubEnv('CONMIM_HOME', home);
    const command = name.split(' ').slice(0, -1);
    const give = (place: string, ...more: string[]) => run(...command, ...to.args, place, ...more);
    vi.stubEnv('HOME', here); // for what is typed as ~
    const typed = (place: string) => (sep === '/' ? join('~', relative(here, place)) : place);
    if (to.folder) {
      for (const file of to.folder) {
        const folder = join(here, `has ${file}`);
        mkdirSync(folder);
        writeFileSync(join(folder, file), 'mine');
        for (const place of [folder, typed(folder)]) expect(await give(place), place).toContain('is there already');
        expect(said).not.toContain('fixture.json'); // it has not even looked at what is to be replayed
        expect(readdirSync(folder)).toEqual([file]);
        expect(readFileSync(join(folder, file), 'utf8')).toBe('mine');
      }
      writeFileSync(join(here, 'file'), 'mine');
      for (const place of ['', join(here, 'file'), join(here, 'file', 'below')]) {
        expect(await give(place), place).toMatch(/folder|empty/);
        expect(said, place).not.toContain('report this');
        expect(status).toBe(1);
      }
    } else {
      const file = join(here, to.file!);
      for (const there of [to.file!, ...(to.beside ?? [])]) {
        writeFileSync(join(here, there), 'mine');
        for (const place of [file, typed(file)])
          expect(await give(place), place).toContain(`${there} is there already`);
        expect(status).toBe(1);
        expect(existsSync(home)).toBe(false); // it has not even looked for the checkpoint
        expect(await give(file, '--force')).not.toContain('is there already');
        expect(readFileSync(join(here, there), 'utf8')).toBe('mine');
        rmSync(join(here, there));
        rmSync(home, { recursive: true, force: true });
      }
      for (const place of [
        '',
        join(here, 'photo.jpg'),
        here,
        ...(to.makesFolder ? [] : [join(here, 'missing', to.file!)]),
        join(here, `${'x'.repeat(256)}${to.file}`),
      ]) {
        await give(place);
        expect(status, place).toBe(1);
        expect(existsSync(home), place).toBe(false);
      }
      expect(existsSync(join(here, 'missing'))).toBe(false);
      writeFileSync(file, 'mine');
      expect(await give(join(file, 'below', to.file!))).toContain('no folder');
      expect(status).toBe(1);
    }
  },
);
