import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { METHODS } from '../../methods/index.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Where a method's name is the program's own. */
const PROGRAM = [
  /ConMIM Workbench|<title>ConMIM /g,
  /\bCONMIM_[A-Z_]+/g,
  /\bconmim-(workbench|bench|token|unsaved)\b/g,
  /(`|<code>|\n\s+|--silent )conmim (?=[a-z-])/g, // a command as it is typed
  /(Command|exposeInMainWorld)\('conmim'|\['conmim', command|'--silent', 'conmim'|window\.conmim|\bconmim\?: Bridge/g,
  /engine: ('conmim'|`conmim \$)/g, // as tools/race.mjs calls it
  /'conmim:(call|events)'|'conmim\.(config|width)'/g,
  /`Conmim\$\{name\}`|'Conmim[A-Z]\w+'/g, // compiled kernels, as TensorFlow knows them
  /'pretrain',\s+'tokenizer',/g, // the command, among all
  /\bbeit_[a-z]+|timm\.models\.beit\.Beit|`Beit`|as BEiT is pretrained/g, // as timm calls the encoder
];

/** Source without comments: they cite the papers and code that something is from. */
const bare = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$|\s\/\/ .*$|<!--[\s\S]*?-->/gm, '');

const NAMES = METHODS.flatMap(({ name, title }) => [name, title]).map((one) => one.toLowerCase());
/** A word stands alone, or within `camelCase` or `snake_case`. */
const said = (text: string) => {
  const rest = PROGRAM.reduce((left, pattern) => left.replace(pattern, ' '), bare(text));
  const names = rest.split(/[^A-Za-z0-9]+/);
  const words = rest.replace(/([a-z0-9])(?=[A-Z])/g, '$1 ').split(/[^A-Za-z0-9]+/);
  // A title in capitals within (`SimCLR`) is split as words are: it is looked for whole.
  const whole = names.filter((name) => NAMES.includes(name.toLowerCase())).length;
  return Math.max(whole, words.filter((word) => NAMES.includes(word.toLowerCase())).length);
};

test('nothing outside a method’s folder and the index says its name', () => {
  const files = globSync('{shared,methods,electron,renderer}/**/*.{ts,cts,svelte,html,css}', { cwd: ROOT })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file !== 'methods/index.ts' && !/^methods\/[^/]+\//.test(file));
  expect(files.length).toBeGreaterThan(300);
  const found = files.flatMap((file) => {
    const times = said(readFileSync(join(ROOT, file), 'utf8'));
    return times > 0 ? [[file, times] as const] : [];
  });
  expect(found).toEqual([]);
});

test('a name is seen where it is one', () => {
  expect(said("if (method.name === 'mae') decode();")).toBe(1);
  expect(said("if (method.name === 'conmim') encode();")).toBe(1);
  expect(said("import { step } from './conmim/step.ts';")).toBe(1);
  expect(said('<p>MAE has none</p>')).toBe(1);
  expect(said('<p>SimCLR has none</p>')).toBe(1);
  expect(said('const start = maeStart(0.02);')).toBe(1);
  expect(said('const isMae = true;')).toBe(1);
  expect(said('/** As in MAE. */ run(); // conmim does so\n`conmim show RUN`, CONMIM_HOME, ConMIM Workbench')).toBe(0);
});
