import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fetchNode, headersOf } from './node.mjs';
import { ROOT } from './paths.mjs';
import { Sentence } from './say.mjs';
import { quietly } from './work.mjs';

export const NATIVE = join(ROOT, 'tools', 'native');

export async function findCompiler() {
  for (const name of ['g++', 'clang++', 'c++']) {
    if ((await quietly(name, ['--version'])).code === 0) return name;
  }
  throw new Sentence(
    'A C++ compiler is missing: install one (Debian and Ubuntu: `apt install g++`), and run `npm run setup`.',
  );
}

/** The folder of Node's headers, fetched where this Node came without them. */
export async function findHeaders(node) {
  return existsSync(join(headersOf(node), 'node_api.h')) ? headersOf(node) : headersOf(await fetchNode());
}

/** A loop that clang cannot cut into vectors (pass-failed) is slower, and no fault. */
export const WARNINGS = ['-Wall', '-Wextra', '-Wno-pass-failed'];

/** What each addon is compiled with, beside what all are. */
const OWN = {
  // Sums may be cut into vectors where a pragma says so, and nowhere else: what is not a number stays so.
  kernels: ['-ffp-contract=fast', ...(process.arch === 'x64' ? ['-mprefer-vector-width=512'] : [])],
  // Where Pillow truncates, the last bit of a float decides: no product is fused with a sum.
  imaging: ['-ffp-contract=off'],
};

/** @param {'kernels' | 'imaging'} name */
export const flagsOf = (name) => [
  ...['-shared', '-fPIC', '-std=c++17', '-O3', '-march=native', '-fopenmp-simd', '-pthread', '-DNAPI_VERSION=8'],
  ...(process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : []),
  ...['-fno-math-errno', '-fno-trapping-math', ...OWN[name], ...WARNINGS],
];

/** Paths of what is compiled for an addon. */
export const sourcesOf = (name) =>
  readdirSync(join(NATIVE, name))
    .filter((file) => file.endsWith('.cc'))
    .sort()
    .map((file) => join(NATIVE, name, file));

/** Links the kernels with the TensorFlow in a folder of the cache. */
export const linkTensorFlow = (folder) => {
  const library = join(folder, 'tensorflow');
  return [`-L${library}`, '-l:libtensorflow_framework.so.2', `-Wl,-rpath,${library}`];
};
