import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fetchNode, headersOf } from './node.mjs';
import { CACHE, ROOT } from './paths.mjs';
import { say } from './say.mjs';
import { findCompiler } from './tensorflow.mjs';
import { work } from './work.mjs';

// The engine's own kernels, compiled for this very processor into out/native. Without them TensorFlow's operations
// compute the same, slower: that they cannot be built is said, and stops nothing.

const SOURCES = join(ROOT, 'tools', 'native', 'kernels');
const OUT = join(ROOT, 'out', 'native');

/** What the processor can do: a folder that two machines share is built again where they differ. */
function processor() {
  const facts = existsSync('/proc/cpuinfo') ? /^flags.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0] : null;
  return facts ?? cpus()[0]?.model ?? '';
}

/** out/native/kernels.node from its sources, where they, TensorFlow or the processor have changed. */
export async function ensureKernels(node) {
  const current = join(CACHE, 'current.json');
  const choice = existsSync(current) ? JSON.parse(readFileSync(current, 'utf8')) : null;
  if (choice?.state !== 'ready') return;
  const files = readdirSync(SOURCES).sort();
  const hash = createHash('sha256').update(`${choice.folder}\n${processor()}\n`);
  for (const file of files) hash.update(readFileSync(join(SOURCES, file)));
  const state = hash.digest('hex');
  const stamp = join(OUT, '.built');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return;
  mkdirSync(OUT, { recursive: true });
  rmSync(stamp, { force: true });
  try {
    const headers = existsSync(join(headersOf(node), 'node_api.h')) ? headersOf(node) : headersOf(await fetchNode());
    const library = join(choice.folder, 'tensorflow');
    const part = join(OUT, `kernels.${process.pid}.part`);
    const args = [
      ...['-shared', '-fPIC', '-std=c++17', '-O3', '-march=native', '-fopenmp-simd', '-pthread', '-DNAPI_VERSION=8'],
      // Sums may be cut into vectors where a pragma says so, and nowhere else: what is not a number stays so.
      ...['-fno-math-errno', '-fno-trapping-math', '-ffp-contract=fast', `-I${headers}`, join(SOURCES, 'kernels.cc')],
      ...[`-L${library}`, '-l:libtensorflow_framework.so.2', `-Wl,-rpath,${library}`, '-o', part],
    ];
    const { code, output } = await work("Compiling the engine's kernels", await findCompiler(), args);
    if (code !== 0) throw new Error(output);
    renameSync(part, join(OUT, 'kernels.node'));
  } catch (error) {
    rmSync(join(OUT, 'kernels.node'), { force: true });
    say(`The engine's own kernels cannot be built, and steps are slower without them:\n${error.message}`);
  }
  writeFileSync(stamp, state); // a failure too: it is tried again when something has changed
}
