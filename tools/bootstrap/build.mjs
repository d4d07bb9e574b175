import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './paths.mjs';
import { Sentence, say } from './say.mjs';

const stamp = join(ROOT, 'out', '.built');

/** What the sources are, by name, size and time: cheap enough for every start. */
function sourcesState() {
  const hash = createHash('sha256');
  for (const folder of ['shared', 'electron']) {
    for (const entry of readdirSync(join(ROOT, folder), { recursive: true }).sort()) {
      if (!entry.endsWith('.ts')) continue;
      const { size, mtimeMs } = statSync(join(ROOT, folder, entry));
      hash.update(`${folder}/${entry} ${size} ${mtimeMs}\n`);
    }
  }
  return hash.update(readFileSync(join(ROOT, 'tsconfig.build.json'))).digest('hex');
}

/** out/ from the sources, where they have changed. */
export function build(node) {
  const state = sourcesState();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return;
  say('Building …');
  for (const folder of ['shared', 'electron', '.tsbuildinfo'])
    rmSync(join(ROOT, 'out', folder), { recursive: true, force: true });
  mkdirSync(join(ROOT, 'out'), { recursive: true });
  const tsc = spawnSync(
    node,
    [join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', join(ROOT, 'tsconfig.build.json')],
    { encoding: 'utf8' },
  );
  if (tsc.status !== 0) throw new Sentence(`The build failed:\n${tsc.stdout}${tsc.stderr}`);
  writeFileSync(stamp, state);
}
