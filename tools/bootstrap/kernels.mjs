import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { findCompiler, findHeaders, flagsOf, linkTensorFlow, NATIVE, sourcesOf } from './compiler.mjs';
import { CACHE, ROOT } from './paths.mjs';
import { say } from './say.mjs';
import { readJson, work } from './work.mjs';

// What is compiled for this very processor into out/native. Without it other code computes the same, slower: that
// something cannot be built is said, and stops nothing.

const OUT = join(ROOT, 'out', 'native');

/** What the processor can do: a folder that two machines share is built again where they differ. */
function processor() {
  const facts = existsSync('/proc/cpuinfo') ? /^flags.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0] : null;
  return facts ?? cpus()[0]?.model ?? '';
}

/**
 * out/native/NAME.node from tools/native/NAME, where its sources, the processor or `depends` have changed.
 * @param {{title: string, without: string, depends?: string, link?: string[]}} how
 */
async function compile(node, name, { title, without, depends = '', link = [] }) {
  const sources = join(NATIVE, name);
  const flags = flagsOf(name);
  const hash = createHash('sha256').update(`${depends}\n${processor()}\n${flags.join(' ')}\n`);
  for (const file of readdirSync(sources).sort()) hash.update(readFileSync(join(sources, file)));
  const state = hash.digest('hex');
  const stamp = join(OUT, `.built-${name}`);
  const built = join(OUT, `${name}.node`);
  const stamped = existsSync(stamp) ? readFileSync(stamp, 'utf8') : null;
  if (stamped === state) return;
  const compiler = await findCompiler().catch((error) => error);
  const failed = `${state} failed with ${compiler}`;
  if (stamped === failed) return; // it is tried again when something has changed
  mkdirSync(OUT, { recursive: true });
  rmSync(stamp, { force: true });
  try {
    if (compiler instanceof Error) throw compiler;
    const part = join(OUT, `${name}.${process.pid}.part`);
    const include = `-I${await findHeaders(node)}`;
    const args = [...flags, include, ...sourcesOf(name), ...link, '-o', part];
    const { code, output } = await work(title, compiler, args);
    if (code !== 0) throw new Error(output);
    if (output.trim() !== '') say(output.trim()); // warnings
    renameSync(part, built);
    writeFileSync(stamp, state);
  } catch (error) {
    rmSync(built, { force: true });
    say(`${without}:\n${error.message}`);
    writeFileSync(stamp, failed);
  }
}

/** The engine's own kernels, for the TensorFlow that is in use; the loader's arithmetic. */
export async function ensureKernels(node) {
  const choice = readJson(join(CACHE, 'current.json'));
  if (choice?.state === 'ready' && typeof choice.folder === 'string') {
    await compile(node, 'kernels', {
      title: "Compiling the engine's kernels",
      without: "The engine's own kernels cannot be built, and steps are slower without them",
      depends: choice.folder,
      link: linkTensorFlow(choice.folder),
    });
  }
  if (process.platform === 'win32') return; // no addon is linked there without Node's import library
  await compile(node, 'imaging', {
    title: "Compiling the loader's arithmetic",
    without: "The loader's arithmetic cannot be compiled, and images are loaded slower without it",
  });
}
