import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const TOOL = join(import.meta.dirname, '../../tools/bootstrap.mjs');

/** A Node 20 of this machine, by which a bare clone may be set up; null where there is none. */
function oldestNode(): string | null {
  const all = spawnSync('sh', ['-c', 'which -a node nodejs'], { encoding: 'utf8' }).stdout ?? '';
  const versionOf = (path: string) => spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout ?? '';
  return all.split('\n').find((path) => path && versionOf(path).startsWith('v20.')) ?? null;
}
const node = oldestNode();

test.skipIf(node === null)(
  `a clone is set up by Node 20, which has less than ours${node ? '' : ' (skipped: no Node 20 here)'}`,
  () => {
    // Every file of the set-up is read before the help is said.
    const { stderr } = spawnSync(node!, [TOOL, '--help'], { encoding: 'utf8' });
    expect(stderr).toContain('node tools/bootstrap.mjs COMMAND');
  },
);
