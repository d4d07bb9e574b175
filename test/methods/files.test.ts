import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { METHODS } from '../../methods/index.ts';

const FOLDER = join(import.meta.dirname, '../../methods');

test.each(METHODS)('$name has the files that method.ts and figures.ts promise, and no others of these', (method) => {
  const asked = method.explains.filter(({ answer, groups }) => answer !== null || groups !== undefined);
  const promised = {
    'network.ts': true,
    'step.ts': true,
    'explain.ts': asked.length > 0,
    'lookups.ts': method.lookups !== null,
    'published.ts': method.published !== null,
    'health.ts': method.health !== undefined,
  };
  const there = Object.keys(promised).map((file) => [file, existsSync(join(FOLDER, method.name, file))]);
  expect(Object.fromEntries(there)).toEqual(promised);
  // Two methods may share a view, which then stands beside their folders.
  for (const { view } of method.explains)
    expect(
      [method.name, '.'].some((folder) => existsSync(join(FOLDER, folder, `${view}.svelte`))),
      view,
    ).toBe(true);
});
