import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

// Rules of the linter that are the project's own: it finds what is planted, and nothing in what is allowed.
const ROOT = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'lint-'));
afterAll(() => rmSync(folder, { recursive: true }));

const line = (length: number) => 'x'.repeat(length);
const PLANTED: [file: string, text: string, said: string | null][] = [
  ['electron/services/ground/a.ts', "export * from '../evaluation/b.ts';", 'ground may import no other room.'],
  [
    'electron/services/export/a.ts',
    "export const later = () => import('../health/b.ts');",
    'export may import the rooms',
  ],
  ['electron/services/export/b.ts', "export * from '../evaluation/b.ts';", null],
  ['electron/services/export/c.ts', "export * from '../../../shared/contract/export.ts';", null],
  ['electron/services/export/d.ts', "export * from '../../ipc/b.ts';", 'electron/services may import'],
  ['electron/services/sheets/a.ts', "export * from '../runs/b.ts';", null],
  ['electron/services/sheets/b.ts', "export * from '../../cli/b.ts';", 'electron/services may import'],
  ['electron/data/a.ts', "export * from '../engine/b.ts';", 'electron/data may import'],
  ['electron/a.ts', `export const load = (name: string) => import(\`./data/\${name}.ts\`);`, 'Say what is imported'],
  ['renderer/a.ts', "export const load = (name: string) => import('./' + name);", 'Say what is imported'],
  ['shared/a.ts', "export const load = () => import('./b.ts');", null],
  ['electron/store/a.ts', "export { writeFileSync } from 'node:fs';", 'Files are written by'],
  ['electron/store/b.ts', "import { writeFileSync } from 'node:fs';\nwriteFileSync('a', '');", 'Files are written by'],
  ['electron/cli/a.ts', "import { rename } from 'node:fs/promises';\nawait rename('a', 'b');", 'Files are written by'],
  ['electron/shell/a.ts', "import { readFileSync } from 'node:fs';\nreadFileSync('a');", null],
  ['shared/b.ts', `export const a = '${line(150)}';`, 'A line is longer than 160'],
  ['test/a.ts', `export const a = 1;\n// ${line(158)}\nexport const b = 2;`, 'A line is longer than 160'],
  ['test/b.ts', `export const a = 1;\n// ${line(157)}\nexport const b = 2;`, null],
  ['tools/a.mjs', `export const a = \`\n${line(161)}\`;`, 'A line is longer than 160'],
  ['renderer/A.svelte', `<script lang="ts">\n  const a = '${line(150)}';\n</script>\n{a}`, 'A line is longer than 160'],
];

test('the linter says who may not import whom, what is imported unseen, half-written files and long lines', () => {
  for (const part of ['biome.layers.json', 'tools/lint'])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  // Circles of imports are sought in the whole project, which takes long.
  const biome = JSON.parse(readFileSync(join(ROOT, 'biome.json'), 'utf8'));
  delete biome.linter.rules.suspicious.noImportCycles;
  writeFileSync(join(folder, 'biome.json'), JSON.stringify(biome));
  for (const [file, text] of PLANTED) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), `${text}\n`);
  }
  const program = join(ROOT, 'node_modules/@biomejs/biome/bin/biome');
  const { stdout } = spawnSync(process.execPath, [program, 'lint', '--max-diagnostics=none', '--reporter=json', '.'], {
    cwd: folder,
    encoding: 'utf8',
  });
  const { diagnostics } = JSON.parse(stdout) as {
    diagnostics: { severity: string; message: string; location: { path: string } }[];
  };
  const found = diagnostics.filter(({ severity }) => severity === 'error');
  for (const [file, , said] of PLANTED) {
    const own = found.filter(({ location }) => location.path === file).map(({ message }) => message);
    expect(own, file).toEqual(said === null ? [] : [expect.stringContaining(said)]);
  }
});
