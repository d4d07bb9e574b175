import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { beforeAll, describe, expect, it } from 'vitest';
import { addCommands } from '../electron/cli/commands.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const PAGES = ['*.md', 'docs/**/*.md', '.github/**/*.yml']
  .flatMap((pattern) => globSync(pattern, { cwd: ROOT }))
  .sort();
/** Pages that say where things are. */
const MAPS = ['CONTRIBUTING.md', 'docs/architecture.md'];

const textOf = (page: string) => readFileSync(join(ROOT, page), 'utf8');
const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((m) => m[1] ?? '');

/** Headings as GitHub makes links of them. */
const anchorsOf = (page: string) =>
  matches(textOf(page), /^#+ (.+)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} -]/gu, '')
      .replaceAll(' ', '-'),
  );

/** Code in a page: what is indented, a command that goes on in the next line as one, and what stands in backticks. */
function codeOf(page: string): string[] {
  const text = textOf(page).replace(/\\\n\s+/g, '');
  const indented = matches(text, /^ {4}(\S.*)$/gm).map((line) => line.replace(/ +#.*$/, ''));
  return [...indented, ...matches(text, /`([^`]+)`/g).map((code) => code.replace(/\s+/g, ' '))];
}

/** What stands behind `conmim` in every command of a page, word by word. */
const commandsOf = (page: string): string[][] =>
  codeOf(page)
    .map((code) => code.replace(/^npm run --silent conmim -- /, 'conmim '))
    .filter((code) => code.startsWith('conmim '))
    .map((code) => code.split(' ').slice(1));

describe('the documents', () => {
  const program = new Command();
  beforeAll(() => addCommands(program, []));
  const optionsOf = (command: Command) => command.options.flatMap((o) => [o.short, o.long]);
  const GLOBAL = ['--json', '--home', '--help', '--version'];

  it.each(PAGES)('%s links to what is there', (page) => {
    for (const link of matches(textOf(page), /\]\(([^)\s]+)\)/g).filter((one) => !one.includes('://'))) {
      const [file, anchor] = link.split('#');
      const path = file ? join(dirname(page), file) : page;
      expect(existsSync(join(ROOT, path)), link).toBe(true);
      if (anchor) expect(anchorsOf(path), link).toContain(anchor);
    }
  });

  /** The first word that is no command, or no option of it; null where there is none. */
  function unknownIn(words: readonly string[]): string | null {
    let command = program;
    for (const word of words) {
      const inner = command.commands.find((one) => one.name() === word);
      if (word.startsWith('-') ? ![...GLOBAL, ...optionsOf(command)].includes(word) : command === program && !inner)
        return word;
      command = inner ?? command;
    }
    return null;
  }

  it.each(PAGES)('%s gives commands and options that there are', (page) => {
    for (const words of commandsOf(page).filter(([name]) => name !== 'COMMAND'))
      expect(unknownIn(words), `conmim ${words.join(' ')}`).toBeNull();
  });

  it('the program suggests commands and options that there are', () => {
    const files = globSync('{electron,renderer,shared}/**/*.{ts,svelte}', { cwd: ROOT });
    const suggested = files.flatMap((file) => matches(textOf(file), /`conmim ((?:[^`\\$]|\$\{[^}]*\})+)\\?`/g));
    expect(suggested.length).toBeGreaterThan(40);
    for (const code of suggested) {
      const words = code
        .replace(/ \|.*$/, '')
        .replace(/\$\{[^}]*\}/g, 'WORD')
        .split(' ');
      if (words[0] !== 'WORD') expect(unknownIn(words), `conmim ${code}`).toBeNull();
    }
  });

  it('names every command in the manual', () => {
    const named = globSync('docs/manual/*.md', { cwd: ROOT })
      .flatMap(commandsOf)
      .map(([name]) => name);
    const missing = program.commands.map((one) => one.name()).filter((name) => !named.includes(name));
    expect(missing).toEqual([]);
  });

  it.each(PAGES)('%s gives scripts that package.json has', (page) => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
    for (const name of matches(codeOf(page).join('\n'), /npm run (?:--silent )?([a-z]+)/g))
      expect(Object.keys(scripts), page).toContain(name);
  });

  it.each(MAPS)('%s names files and folders that there are', (page) => {
    for (const code of codeOf(page)) {
      if (!/^(electron|methods|renderer|shared|test|tools|docs)\/\S*$/.test(code)) continue;
      // NAME and NNNN stand for what somebody adds: what is before them is there.
      const known = code.split('/').filter(Boolean);
      const placeholder = known.findIndex((part) => /NAME|NNNN/.test(part));
      const path = known.slice(0, placeholder === -1 ? undefined : placeholder).join('/');
      expect(existsSync(join(ROOT, path)), code).toBe(true);
    }
  });
});
