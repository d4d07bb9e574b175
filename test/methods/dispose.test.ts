import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { LABELLED_METHODS, METHODS } from '../../methods/index.ts';

// The engine owns the tensors of a step: a method's page reads like its paper, and disposes of nothing.

const METHODS_FOLDER = join(import.meta.dirname, '../../methods');
const source = (file: string) => readFileSync(file, 'utf8');

/** The files of methods that a file is made of, itself included: what it imports, and what these import. */
function madeOf(file: string, read = source, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  for (const [, from] of read(file).matchAll(/\bfrom '(\.[^']+\.ts)'/g)) {
    const imported = join(dirname(file), from!);
    if (!relative(METHODS_FOLDER, imported).startsWith('..')) madeOf(imported, read, found);
  }
  return found;
}

const disposing = (files: Iterable<string>, read = source) =>
  [...files]
    .filter((file) => /\bdispose\b|\btf\.keep\b/.test(read(file)))
    .map((file) => relative(METHODS_FOLDER, file).replaceAll('\\', '/'));

const stepOf = (name: string) => join(METHODS_FOLDER, name, 'step.ts');

test.each([...METHODS, ...LABELLED_METHODS].map(({ name }) => name))(
  'the step of %s, and what it is made of, dispose of no tensor',
  (name) => {
    const files = madeOf(stepOf(name));
    expect(files.size).toBeGreaterThan(1);
    expect(disposing(files)).toEqual([]);
  },
);

test('one that does is found, in the step and in what it imports', () => {
  const written: Record<string, string> = {
    [stepOf('toy')]: "import { sum } from '../other/sum.ts';\nimport * as tf from '@tensorflow/tfjs-core';",
    [join(METHODS_FOLDER, 'other/sum.ts')]: "import { record } from '../../electron/engine/tape.ts';\nmean.dispose();",
  };
  const read = (file: string) => written[file]!;
  expect(disposing(madeOf(stepOf('toy'), read), read)).toEqual(['other/sum.ts']);
  written[stepOf('toy')] += '\ntf.dispose([a, b]);';
  expect(disposing(madeOf(stepOf('toy'), read), read)).toEqual(['toy/step.ts', 'other/sum.ts']);
});
