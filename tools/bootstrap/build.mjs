import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './paths.mjs';
import { Sentence, say } from './say.mjs';

/** Where Node keeps compiled code of this build and of the packages; made anew with each build. */
export const COMPILED = join(ROOT, 'out', 'compiled');

/** What the sources are, by name, size and time: cheap enough for every start. */
function sourcesState(folders, configuration) {
  const hash = createHash('sha256');
  for (const folder of folders) {
    for (const entry of readdirSync(join(ROOT, folder), { recursive: true }).sort()) {
      if (!/\.(c?ts|mjs|svelte|css|html)$/.test(entry)) continue;
      const { size, mtimeMs } = statSync(join(ROOT, folder, entry));
      hash.update(`${folder}/${entry} ${size} ${mtimeMs}\n`);
    }
  }
  return hash.update(readFileSync(join(ROOT, configuration))).digest('hex');
}

/** Does a part of the build where its sources have changed. @param {() => import('node:child_process').SpawnSyncReturns<string>} act */
function when(changed, name, title, act) {
  const stamp = join(ROOT, 'out', name);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === changed) return;
  say(`${title} …`);
  mkdirSync(join(ROOT, 'out'), { recursive: true });
  const { status, stdout, stderr } = act();
  if (status !== 0) throw new Sentence(`${title} failed:\n${stdout}${stderr}`);
  writeFileSync(stamp, changed);
}

/** out/ from the sources, where they have changed. */
export function build(node) {
  const run = (file, args) =>
    spawnSync(node, [join(ROOT, 'node_modules', file), ...args], { encoding: 'utf8', cwd: ROOT });
  when(sourcesState(['shared', 'methods', 'electron'], 'tsconfig.build.json'), '.built', 'Building', () => {
    for (const folder of ['shared', 'methods', 'electron', '.tsbuildinfo', 'compiled'])
      rmSync(join(ROOT, 'out', folder), { recursive: true, force: true });
    return run('typescript/bin/tsc', ['-p', 'tsconfig.build.json']);
  });
  when(
    sourcesState(['shared', 'methods', 'renderer'], 'renderer/vite.config.ts'),
    '.built-window',
    'Building the window',
    () => run('vite/bin/vite.js', ['build', '--config', 'renderer/vite.config.ts', '--logLevel', 'error']),
  );
}
