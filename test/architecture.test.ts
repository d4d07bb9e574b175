import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
/** Who may import whom; everyone may import from its own folder. */
const MAY: Record<string, string[]> = {
  shared: [],
  // Paths as people type them, and files that are written whole: for everyone who reads or writes files.
  'electron/files': ['shared'],
  'electron/engine': ['shared'],
  methods: ['shared', 'electron/engine'],
  'electron/data': ['shared', 'electron/files'],
  'electron/formats': ['shared', 'electron/files'],
  'electron/store': ['shared', 'electron/files'],
  'electron/trainer': ['shared', 'electron/files', 'methods', 'electron/engine', 'electron/data', 'electron/store'],
  'electron/services': [
    'shared',
    'electron/files',
    'methods',
    'electron/store',
    'electron/trainer',
    'electron/data',
    'electron/engine',
    'electron/formats',
  ],
  'electron/shell': ['shared'],
  'electron/ipc': ['shared', 'electron/files', 'electron/services', 'electron/store', 'electron/shell'],
  'electron/cli': [
    'shared',
    'electron/files',
    'electron/services',
    'electron/store',
    'electron/trainer',
    'electron/shell',
    'electron/ipc',
  ],
  renderer: ['shared'],
};
const layerOf = (file: string) => Object.keys(MAY).find((layer) => file.startsWith(`${layer}/`));

/** Imports of a file: of the project's own files relative to its root, of packages by name. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [...text.matchAll(/^\s*(?:import|export) [^'"]*?from '([^']+)'/gms)].map((m) =>
    m[1]!.startsWith('.') ? relative(ROOT, resolve(ROOT, dirname(file), m[1]!)) : m[1]!,
  );
}

const files = globSync('{shared,methods,electron,renderer}/**/*.{ts,svelte}', { cwd: ROOT }).filter(
  (file) => !file.endsWith('.test.ts'),
);

test('layers import only what is below them', () => {
  const wrong = files.flatMap((file) => {
    const layer = layerOf(file);
    if (!layer) return [];
    return importsOf(file)
      .map((to) => [to, layerOf(to)] as const)
      .filter(([, other]) => other && other !== layer && !MAY[layer]!.includes(other))
      .map(([to]) => `${file} imports ${to}`);
  });
  expect(files.length).toBeGreaterThan(40);
  expect(wrong).toEqual([]);
});

test('the engine knows tfjs-core and nothing else; shared knows no Node', () => {
  const packages = (folder: string) =>
    files
      .filter((f) => f.startsWith(folder))
      .flatMap((f) => importsOf(f).filter((i) => !i.includes('/') || i.startsWith('@') || i.startsWith('node:')));
  expect([...new Set(packages('electron/engine/'))]).toEqual(['@tensorflow/tfjs-core']);
  expect([...new Set(packages('shared/'))]).toEqual(['zod']);
});

test('SQL stands in the store alone', () => {
  const outside = files.filter((f) => !f.startsWith('electron/store/') && importsOf(f).includes('better-sqlite3'));
  expect(outside).toEqual([]);
});

test('Electron is known to the desktop’s own files alone', () => {
  const users = files.filter((file) => importsOf(file).includes('electron'));
  expect(users.every((file) => file === 'electron/main.ts' || file.startsWith('electron/shell/'))).toBe(true);
  expect(users).not.toContain('electron/shell/browser.ts');
  expect(users.length).toBeGreaterThan(2);
});
