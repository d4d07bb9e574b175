import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { ROOT } from './paths.mjs';
import { Sentence } from './say.mjs';
import { downloadSentence, locked, needDisk, work } from './work.mjs';

const stamp = join(ROOT, 'node_modules', '.conmim-packages');

/** The packages of the lock file, whose checksums npm verifies; none of them runs anything when it is installed (.npmrc). */
export async function ensurePackages(node) {
  const wanted = createHash('sha256')
    .update(readFileSync(join(ROOT, 'package-lock.json')))
    .digest('hex');
  const there = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
  if (there()) return;
  await locked(join(ROOT, 'out'), async () => {
    if (there()) return;
    needDisk(ROOT, 1e9, 'Installing the packages');
    const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` };
    const { code, output } = await work(
      'Packages',
      'npm',
      ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error'],
      { cwd: ROOT, env, watch: join(ROOT, 'node_modules') },
    );
    if (code === 127)
      throw new Sentence('npm is not on the path: install Node with npm, and run the same command again.');
    if (code !== 0) throw new Sentence(downloadSentence('The packages', output));
    writeFileSync(stamp, wanted);
  });
}
