import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchNode, headersOf } from './node.mjs';
import { CACHE, LOCK, PLATFORM, ROOT } from './paths.mjs';
import { Sentence, say } from './say.mjs';
import { downloadSentence, locked, needDisk, quietly, work } from './work.mjs';

// TensorFlow from its Python wheels, under TensorFlow.js's own N-API binding, which is plain C API and so works with
// newer TensorFlows than the one it was released with. Everything for one variant stands in one folder:
//   tfjs_binding.node, quiet.node   compiled here
//   tensorflow/, nvidia/            from the wheels, side by side as TensorFlow's own search path wants them
//   runtime.json                    written last: without it the folder is not complete

const choice = join(CACHE, 'current.json');
const binding = join(ROOT, 'node_modules', '@tensorflow', 'tfjs-node-gpu', 'binding');
const native = join(ROOT, 'tools', 'native', 'quiet.cc');

/** Changes with whatever the folder is made of, so that clones of different ages do not disturb each other. */
function folderFor(variant) {
  const hash = createHash('sha256').update(JSON.stringify(LOCK.tensorflow.variants[variant]));
  for (const file of readdirSync(binding).sort()) hash.update(readFileSync(join(binding, file)));
  hash.update(readFileSync(native));
  return join(CACHE, `tensorflow-${LOCK.tensorflow.version}-${variant}-${hash.digest('hex').slice(0, 12)}`);
}

const read = (path) => (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null);

function writeWhole(path, value) {
  writeFileSync(`${path}.part`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${path}.part`, path);
}

/**
 * TensorFlow, ready to be loaded. Where it cannot be had the program goes on with WASM: a warning says why, once.
 * @param {{node: string, variant?: string, again: boolean}} options again: try even where an earlier try failed
 */
export async function ensureTensorFlow({ node, variant, again }) {
  if (variant !== undefined && !LOCK.tensorflow.variants[variant])
    throw new Sentence(`There is no TensorFlow variant "${variant}": choose cpu or cuda.`);
  const now = read(choice);
  if (
    now?.state === 'ready' &&
    (variant ?? now.variant) === now.variant &&
    now.folder === folderFor(now.variant) &&
    existsSync(join(now.folder, 'runtime.json'))
  )
    return;
  if (now?.state === 'absent' && !again) return;
  try {
    const gpu = await hasNvidia();
    const wanted = variant ?? now?.variant ?? (gpu ? 'cuda' : 'cpu');
    const why = variant ? 'It was chosen.' : wanted === 'cuda' ? 'There is an NVIDIA GPU.' : 'No NVIDIA GPU was found.';
    const folder = folderFor(wanted);
    await locked(CACHE, () => setUp(node, wanted, folder));
    writeWhole(choice, { state: 'ready', folder, variant: wanted, version: LOCK.tensorflow.version, why });
  } catch (error) {
    if (!(error instanceof Sentence)) throw error;
    mkdirSync(CACHE, { recursive: true });
    writeWhole(choice, { state: 'absent', why: error.message });
    say(
      `${error.message}\nUntil then the WASM backend computes, some fifteen times slower; \`npm run setup\` tries again.`,
    );
  }
}

async function hasNvidia() {
  return (await quietly('nvidia-smi', ['-L'])).code === 0;
}

async function setUp(node, variant, folder) {
  if (existsSync(join(folder, 'runtime.json'))) return;
  if (PLATFORM !== LOCK.tensorflow.platform)
    throw new Sentence(`TensorFlow is set up on ${LOCK.tensorflow.platform} only, and this is ${PLATFORM}.`);
  const { wheels, bytes_needed, download_bytes } = LOCK.tensorflow.variants[variant];
  const python = await findPython();
  const compiler = await findCompiler();
  needDisk(CACHE, bytes_needed, `TensorFlow (${variant})`);
  const part = `${folder}.part`;
  mkdirSync(part, { recursive: true });
  for (const wheel of wheels) await fetchWheel(python, part, wheel, wheels.length === 1 ? download_bytes : null);
  await compile(compiler, node, part);
  rmSync(join(part, 'tensorflow', 'include'), { recursive: true, force: true });
  writeWhole(join(part, 'runtime.json'), { version: LOCK.tensorflow.version, variant, wheels });
  rmSync(folder, { recursive: true, force: true });
  renameSync(part, folder);
}

async function findPython() {
  for (const name of ['python3', 'python']) {
    if ((await quietly(name, ['-m', 'pip', '--version'])).code === 0) return name;
  }
  throw new Sentence(
    'TensorFlow is fetched with Python and pip, which are missing: install them (Debian and Ubuntu: `apt install python3 python3-pip`), and run `npm run setup`.',
  );
}

async function findCompiler() {
  for (const name of ['g++', 'clang++', 'c++']) {
    if ((await quietly(name, ['--version'])).code === 0) return name;
  }
  throw new Sentence(
    'A C++ compiler is missing: install one (Debian and Ubuntu: `apt install g++`), and run `npm run setup`.',
  );
}

/** What is taken from a wheel. */
const UNPACK = `
import sys, zipfile
wheel, out = sys.argv[1:]
keep = ('tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2', 'tensorflow/include/')
with zipfile.ZipFile(wheel) as z:
    for name in z.namelist():
        nvidia = name.startswith('nvidia/') and ('/lib/' in name or '/bin/' in name or '/nvvm/' in name)
        if name.startswith(keep) or nvidia:
            z.extract(name, out)
`;

/** pip is the client: it knows the user's mirrors and proxies, and checks the checksum. */
async function fetchWheel(python, part, { name, version, file, sha256 }, bytes) {
  const marker = join(part, `.${file}.done`);
  if (existsSync(marker)) return; // an earlier set-up came so far
  const download = join(part, 'download');
  rmSync(download, { recursive: true, force: true });
  mkdirSync(download, { recursive: true });
  const requirements = join(download, 'requirements.txt');
  writeFileSync(requirements, `${name}==${version} --hash=sha256:${sha256}\n`);
  // The wheel is the same whatever Python this machine has: it is asked for by its own tags.
  const [pythonTag, abi, platforms] = file
    .replace(/\.whl$/, '')
    .split('-')
    .slice(-3);
  const args = [
    '-m',
    'pip',
    'download',
    '--no-deps',
    '--require-hashes',
    '--only-binary=:all:',
    '--no-cache-dir',
    '--disable-pip-version-check',
    '--progress-bar',
    'off',
    '-q',
  ];
  args.push(
    '--python-version',
    pythonTag.startsWith('cp') ? pythonTag.slice(2) : '311',
    '--implementation',
    pythonTag.startsWith('cp') ? 'cp' : 'py',
    '--abi',
    abi,
  );
  for (const platform of platforms.split('.')) args.push('--platform', platform);
  args.push('-d', download, '-r', requirements);
  const env = { ...process.env, TMPDIR: download };
  const { code, output } = await work(`${name} ${version}`, python, args, {
    cwd: CACHE,
    env,
    watch: download,
    total: bytes,
  });
  const wheel = readdirSync(download).find((f) => f.endsWith('.whl'));
  if (code !== 0 || !wheel) throw new Sentence(downloadSentence(`${name} ${version}`, output));
  const unpacked = await work(`Unpacking ${name}`, python, ['-c', UNPACK, join(download, wheel), part]);
  if (unpacked.code !== 0) throw new Sentence(downloadSentence(`${name} ${version}`, unpacked.output));
  rmSync(download, { recursive: true });
  writeFileSync(marker, '');
}

async function compile(compiler, node, part) {
  const headers = existsSync(join(headersOf(node), 'node_api.h')) ? headersOf(node) : headersOf(await fetchNode());
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
    ['quiet.node', [...common, native]],
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
  }
}
