import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findCompiler, findHeaders, WARNINGS } from './compiler.mjs';
import { CACHE, LOCK, PLATFORM, ROOT } from './paths.mjs';
import { Sentence, say } from './say.mjs';
import { fetchWheel, filesBelow, findPip } from './wheels.mjs';
import { fileHash, locked, needDisk, quietly, readJson, unwritable, work } from './work.mjs';

// TensorFlow from its Python wheels, under TensorFlow.js's own N-API binding, which is plain C API and so works with
// newer TensorFlows than the one it was released with. Everything for one variant stands in one folder:
//   tfjs_binding.node, quiet.node   compiled here
//   tensorflow/, nvidia/            from the wheels, side by side as TensorFlow's own search path wants them
//   runtime.json                    written last, with every file's checksum: without it the folder is not complete

const choice = join(CACHE, 'current.json');
const binding = join(ROOT, 'node_modules', '@tensorflow', 'tfjs-node-gpu', 'binding');
const native = join(ROOT, 'tools', 'native', 'quiet.cc');

/** Changes with whatever the folder is made of, so that clones of different ages do not disturb each other. */
function folderFor(variant) {
  const hash = createHash('sha256');
  for (const { file, sha256 } of LOCK.tensorflow.variants[variant].wheels) hash.update(`${file} ${sha256}\n`);
  for (const file of readdirSync(binding).sort()) hash.update(readFileSync(join(binding, file)));
  hash.update(readFileSync(native));
  return join(CACHE, `tensorflow-${LOCK.tensorflow.version}-${variant}-${hash.digest('hex').slice(0, 12)}`);
}

function writeWhole(path, value) {
  const part = `${path}.${process.pid}.part`; // two may write at once
  writeFileSync(part, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(part, path);
}

/**
 * TensorFlow, ready to be loaded. Where it cannot be had the program goes on with WASM: a warning says why, once.
 * @param {{node: string, variant?: string, again: boolean, verify: boolean}} options
 *   again: try even where an earlier try failed; verify: compare checksums of what is there, not sizes alone
 * @returns {Promise<string | null>} why it cannot be had; null where it is ready
 */
export async function ensureTensorFlow({ node, variant, again, verify }) {
  if (variant !== undefined && !LOCK.tensorflow.variants[variant])
    throw new Sentence(`There is no TensorFlow variant "${variant}": choose cpu or cuda.`);
  const now = readJson(choice);
  if (
    now?.state === 'ready' &&
    (variant ?? now.variant) === now.variant &&
    LOCK.tensorflow.variants[now.variant] &&
    now.folder === folderFor(now.variant) &&
    (await isIntact(now.folder, verify, again))
  )
    return null;
  if (now?.state === 'absent' && !again) return String(now.why);
  try {
    const gpu = await hasNvidia();
    const before = LOCK.tensorflow.variants[now?.variant] ? now.variant : null; // of a file that may hold anything
    const wanted = variant ?? before ?? (gpu ? 'cuda' : 'cpu');
    const found = gpu ? 'There is an NVIDIA GPU.' : 'No NVIDIA GPU was found.';
    const why = variant ? 'It was chosen.' : (before && now.why) || found; // an earlier choice stays, with its reason
    const folder = folderFor(wanted);
    await locked(CACHE, () => setUp(node, wanted, folder, verify, again));
    writeWhole(choice, { state: 'ready', folder, variant: wanted, version: LOCK.tensorflow.version, why });
    return null;
  } catch (thrown) {
    const error = thrown instanceof Sentence ? thrown : unwritable(CACHE, thrown);
    if (!error) throw thrown;
    try {
      mkdirSync(CACHE, { recursive: true });
      writeWhole(choice, { state: 'absent', why: error.message });
    } catch (unsaid) {
      if (!unwritable(CACHE, unsaid)) throw unsaid; // it is said below, and tried again by the next command
    }
    say(
      `${error.message}\nUntil then the WASM backend computes, some fifteen times slower; \`npm run setup\` tries again.`,
    );
    return error.message;
  }
}

async function hasNvidia() {
  return (await quietly('nvidia-smi', ['-L'])).code === 0;
}

/** What was compiled here is smaller than this, bytes: a set-up compares its contents each time. */
const SMALL = 16e6;

/**
 * Whether a folder still holds what was put there: sizes at every start, the contents of small files at a set-up, all
 * contents when it is asked to verify.
 * @param {string} folder @param {boolean} thoroughly @param {boolean} smallOnes
 */
export async function isIntact(folder, thoroughly, smallOnes = false) {
  const files = readJson(join(folder, 'runtime.json'))?.files;
  if (!Array.isArray(files) || files.length === 0) return false;
  for (const { path, bytes, sha256 } of files) {
    const at = join(folder, path);
    if (statSync(at, { throwIfNoEntry: false })?.size !== bytes) return false;
    if ((thoroughly || (smallOnes && bytes < SMALL)) && (await fileHash(at, 'sha256')) !== sha256) return false;
  }
  return true;
}

/** @returns {Promise<{path: string, bytes: number, sha256: string}[]>} every file of a folder, but for marks of the set-up itself */
export async function describeFiles(folder) {
  const files = [];
  for (const path of filesBelow(folder)) {
    if (path.endsWith('.done') || path === 'runtime.json') continue;
    const at = join(folder, path);
    files.push({ path, bytes: statSync(at).size, sha256: await fileHash(at, 'sha256') });
  }
  return files;
}

async function setUp(node, variant, folder, verify, again) {
  if (await isIntact(folder, verify, again)) return;
  if (PLATFORM !== LOCK.tensorflow.platform)
    throw new Sentence(`TensorFlow is set up on ${LOCK.tensorflow.platform} only, and this is ${PLATFORM}.`);
  const { wheels, bytes_needed } = LOCK.tensorflow.variants[variant];
  const python = await findPip();
  const compiler = await findCompiler();
  needDisk(CACHE, bytes_needed, `TensorFlow (${variant})`);
  const part = `${folder}.part`;
  mkdirSync(part, { recursive: true });
  for (const wheel of wheels) await fetchWheel(python, part, wheel);
  await compile(compiler, node, part);
  rmSync(join(part, 'tensorflow', 'include'), { recursive: true, force: true });
  const files = await describeFiles(part);
  writeWhole(join(part, 'runtime.json'), { version: LOCK.tensorflow.version, variant, wheels, files });
  rmSync(folder, { recursive: true, force: true });
  renameSync(part, folder);
}

async function compile(compiler, node, part) {
  const headers = await findHeaders(node);
  const common = ['-shared', '-fPIC', '-O2', '-std=c++17', '-DNAPI_VERSION=8', `-I${headers}`];
  const sources = readdirSync(binding)
    .filter((f) => f.endsWith('.cc'))
    .map((f) => join(binding, f));
  const libraries = [
    '-Ltensorflow',
    '-l:libtensorflow_cc.so.2',
    '-l:libtensorflow_framework.so.2',
    '-Wl,-rpath,$ORIGIN/tensorflow',
  ];
  const builds = [
    ['quiet.node', [...common, ...WARNINGS, native]],
    ['tfjs_binding.node', [...common, '-Itensorflow/include', ...sources, ...libraries]],
  ];
  for (const [out, args] of builds) {
    const { code, output } = await work(`Compiling ${out}`, compiler, [...args, '-o', out], { cwd: part });
    if (code !== 0)
      throw new Sentence(
        `The compiler could not build TensorFlow's binding (${
          output
            .split('\n')
            .find((l) => /error/.test(l))
            ?.slice(0, 200) ?? 'no message'
        }): install g++ 9 or later, and run \`npm run setup\`.`,
      );
    if (out === 'quiet.node' && output.trim() !== '') say(output.trim()); // warnings in what is this project's own
  }
}
