import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LABELLED_METHODS, METHODS } from '../../methods/index.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Where a method's name is the program's own. */
const PROGRAM = [
  /ConMIM Workbench|<title>ConMIM /g,
  /\bCONMIM_[A-Z_]+/g,
  /\bconmim-(workbench|bench|token|unsaved|packages|tiles|screens|race)\b/g,
  /(`|<code>|\n\s+|--silent )conmim (?=[a-z-])/g, // a command as it is typed
  /(Command|exposeInMainWorld)\('conmim'|\['conmim', command|'--silent', 'conmim'|window\.conmim|\bconmim\?: Bridge/g,
  // As tools/race.mjs calls it.
  /engine: ('conmim'|`conmim \$)|\bconmim: (our|\[our|\(\) =>)|median\('conmim'|\bof[._]conmim\b/g,
  /'start', 'demo', 'replay', 'conmim'|command === 'conmim'|demo, replay, conmim/g, // of package.json's scripts
  /\bconmim::|\bnamespace conmim\b/g, // of C++
  /\bself-supervised\b/g,
  /'conmim:(call|events)'|'conmim\.(config|width)'/g,
  /`Conmim\$\{name\}`|['"]Conmim[A-Z]\w+/g, // compiled kernels, as TensorFlow knows them
  /'pretrain',\s+'tokenizer',/g, // the command, among all
  /\bbeit_[a-z]+|timm\.models\.beit\.Beit|`Beit`|as BEiT is pretrained/g, // as timm calls the encoder
];

/** Source without comments: they cite the papers and code that something is from. */
const bare = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$|\s\/\/ .*$|<!--[\s\S]*?-->/gm, '');

/** Titles too, but where the title says what is done in words of the field: "fine-tuning". */
const NAMES = [...METHODS.flatMap(({ name, title }) => [name, title]), ...LABELLED_METHODS.map(({ name }) => name)].map(
  (one) => one.toLowerCase(),
);
/** Of several words: `mc-beit`, `mcBeit`, `McBEiTConfig`, `mc_beit`. */
const SEVERAL = [...new Set(NAMES)]
  .filter((name) => /\W/.test(name))
  .map((name) => new RegExp(name.replace(/\W+/g, '[-_ ]?'), 'gi'));

/** A title with capitals within, or a name and a number, as the beginning of a longer word: `SimCLRHead`, `isMoCoRun`, `mae2`. */
const WITHIN = METHODS.flatMap(({ name, title }) => [
  new RegExp(`(?<![A-Z])${title}(?=[A-Z0-9])`, 'g'),
  new RegExp(`(?<![A-Za-z])${name}(?=[0-9])`, 'g'),
]);

/** In a comparison of methods `supervised` is what a run is made for: an encoder trained with labels from scratch. */
const ROLE = /(?<!\w|\/)supervised(?=_epochs)|(?<!\/)\bsupervised\b(?!\/)/g;
const ofRoles = (file: string) => /bake-?offs?|compare-methods/.test(file);

/** A word stands alone, or within `camelCase` or `snake_case`. @param isOfRoles whether it is of comparisons, and their roles */
const said = (text: string, isOfRoles = false) => {
  const plain = PROGRAM.reduce((left, pattern) => left.replace(pattern, ' '), bare(text));
  const rest = isOfRoles ? plain.replace(ROLE, ' ') : plain;
  const several = SEVERAL.reduce((sum, pattern) => sum + (rest.match(pattern)?.length ?? 0), 0);
  const single = SEVERAL.reduce((left, pattern) => left.replace(pattern, ' '), rest);
  const names = single.split(/[^A-Za-z0-9]+/);
  const words = single.replace(/([a-z0-9])(?=[A-Z])/g, '$1 ').split(/[^A-Za-z0-9]+/);
  // A title in capitals within (`SimCLR`) is split as words are: it is looked for whole.
  const whole = names.filter((name) => NAMES.includes(name.toLowerCase())).length;
  const within = WITHIN.reduce((sum, pattern) => sum + (single.match(pattern)?.length ?? 0), 0);
  return several + Math.max(whole + within, words.filter((word) => NAMES.includes(word.toLowerCase())).length);
};

test('nothing outside a method’s folder and the index says its name', () => {
  const files = globSync('{shared,methods,electron,renderer,tools}/**/*.{ts,cts,mjs,svelte,html,css,py,h,cc}', {
    cwd: ROOT,
  })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file !== 'methods/index.ts' && !/^methods\/[^/]+\//.test(file))
    .filter((file) => !file.startsWith('tools/reference/')); // what methods are held against, written apart from them
  expect(files.length).toBeGreaterThan(300);
  const found = files.flatMap((file) => {
    const times = said(readFileSync(join(ROOT, file), 'utf8'), ofRoles(file));
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
  for (const { title } of METHODS) expect(said(`type A = ${title}Head & Is${title}2;`), title).toBe(2);
  expect(said('const [moco3, isMoCoRun] = mae2();')).toBe(3);
  expect(said("if (name === 'mc-beit') share();")).toBe(1);
  expect(said('const isMcBeit = mcBeitOf(config);')).toBe(2);
  expect(said("import { step } from '../../methods/supervised/step.ts';")).toBe(1);
  expect(said('class Tuning extends Loop<SupervisedConfig> {}')).toBe(1);
  // A role of a comparison is none, where there are roles; the folder is.
  expect(said("role === 'supervised' ? plan.supervised_epochs : asked.supervised", true)).toBe(0);
  expect(said("import { step } from '../../methods/supervised/step.ts';", true)).toBe(1);
  expect(said('type Batch = SupervisedBatch;', true)).toBe(1);
  expect(said('/** As in MAE. */ run(); // conmim does so\n`conmim show RUN`, CONMIM_HOME, ConMIM Workbench')).toBe(0);
});
