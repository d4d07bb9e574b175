#!/usr/bin/env node
// The tests of the compiled kernels and of the loader's arithmetic, with both built so that they report what C++ leaves
// undefined: reads and writes beyond memory or after it was freed (AddressSanitizer), overflow of integers, casts of
// numbers that do not fit, misaligned pointers and their like (UndefinedBehaviorSanitizer). After `npm run setup`:
//   node tools/sanitize.mjs [arguments of vitest]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { findCompiler, findHeaders, flagsOf, linkTensorFlow, sourcesOf } from './bootstrap/compiler.mjs';
import { CACHE, ROOT } from './bootstrap/paths.mjs';
import { Sentence, say } from './bootstrap/say.mjs';
import { readJson, work } from './bootstrap/work.mjs';

const OUT = join(ROOT, 'out', 'sanitized');
const TESTS = ['test/engine/kernels.test.ts', 'test/engine/attention.test.ts', 'test/data/imaging.test.ts'];
const SANITIZERS = [
  // Casts of floats that do not fit are not among `undefined`.
  ...['-fsanitize=address,undefined,float-cast-overflow', '-fno-sanitize-recover=all'],
  ...['-g', '-O1', '-fno-omit-frame-pointer'],
];

/** The sanitizer's library, which has to be loaded before all others, as Node knows nothing of it. */
function runtime(compiler) {
  const { stdout } = spawnSync(compiler, ['-print-file-name=libasan.so'], { encoding: 'utf8' });
  const path = stdout.trim();
  return existsSync(path) ? path : null;
}

async function main(args) {
  if (process.platform !== 'linux') throw new Sentence('Skipped: the addons are sanitized on Linux alone.');
  const compiler = await findCompiler();
  const library = runtime(compiler);
  if (!library) throw new Sentence(`Skipped: ${compiler} has no libasan.so; g++ brings it.`);
  const choice = readJson(join(CACHE, 'current.json'));
  if (choice?.state !== 'ready') throw new Sentence('Skipped: TensorFlow is not set up; `npm run setup` does so.');
  mkdirSync(OUT, { recursive: true });
  const include = `-I${await findHeaders(process.execPath)}`;
  for (const name of ['kernels', 'imaging']) {
    const link = name === 'kernels' ? linkTensorFlow(choice.folder) : [];
    const flags = [...flagsOf(name), ...SANITIZERS, include];
    const files = [...sourcesOf(name), ...link, '-o', join(OUT, `${name}.node`)];
    const { code, output } = await work(`Compiling ${name}, sanitized`, compiler, [...flags, ...files]);
    if (code !== 0) throw new Sentence(output);
  }
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const env = {
    ...process.env,
    CONMIM_NATIVE: OUT,
    LD_PRELOAD: library,
    // Node and TensorFlow leave nearly everything to the end of the process: thousands of leaks, none of them ours.
    ASAN_OPTIONS: 'detect_leaks=0',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  };
  const tests = args.length > 0 ? args : TESTS;
  const { status } = spawnSync(process.execPath, [vitest, 'run', ...tests], { cwd: ROOT, env, stdio: 'inherit' });
  return status ?? 1;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    if (!(error instanceof Sentence)) throw error;
    say(error.message);
    process.exitCode = 1;
  },
);
