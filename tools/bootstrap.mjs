#!/usr/bin/env node
// Brings a bare clone to life, and runs what was asked for: needs Node 20 or later and nothing else. Everything that it
// says goes to standard error, so that `conmim --json` has standard output for itself.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { isatty } from 'node:tty';
import { build, COMPILED } from './bootstrap/build.mjs';
import { checkNative } from './bootstrap/check-native.mjs';
import { ensureKernels } from './bootstrap/kernels.mjs';
import { ensureNode } from './bootstrap/node.mjs';
import { ensurePackages } from './bootstrap/packages.mjs';
import { ROOT } from './bootstrap/paths.mjs';
import { Sentence, say } from './bootstrap/say.mjs';
import { ensureScan } from './bootstrap/scan.mjs';
import { ensureTensorFlow } from './bootstrap/tensorflow.mjs';
import { unwritable } from './bootstrap/work.mjs';

const USAGE = `node tools/bootstrap.mjs COMMAND
  setup [--variant cpu|cuda] [--verify]
                               Node, packages, TensorFlow, build: each skipped where it is there;
                               --verify compares the checksum of every file of TensorFlow first
  test [arguments of vitest]   set up, and run all tests
  check                        set up, and check types, lint, formatting and warnings of C++
  start                        set up, and open the window
  demo, replay, conmim …       set up, and run the program
  race [arguments]             set up, and time training steps beside PyTorch's, or the loader beside
                               torchvision's (--what loader)`;

async function main([command, ...args]) {
  if (!['setup', 'test', 'check', 'start', 'demo', 'replay', 'conmim', 'race'].includes(command))
    throw new Sentence(USAGE);
  const node = await ensureNode();
  await ensurePackages(node);
  const variant = command === 'setup' && args.includes('--variant') ? args[args.indexOf('--variant') + 1] : undefined;
  const without = await ensureTensorFlow({
    node,
    variant,
    again: command === 'setup',
    verify: command === 'setup' && args.includes('--verify'),
  });
  await ensureKernels(node);
  await ensureScan();
  const bin = (name, file) => join(ROOT, 'node_modules', name, file);
  switch (command) {
    case 'setup':
      build(node);
      say(
        without === null
          ? 'Everything is set up. `npm run demo` shows what it does.'
          : 'Set up without TensorFlow, for the reason above: WASM computes. `npm run demo` shows what the program does.',
      );
      return 0;
    case 'check':
      return (
        (await run(node, [bin('typescript', 'bin/tsc'), '-p', ROOT])) ||
        (await run(node, [bin('svelte-check', 'bin/svelte-check'), '--tsconfig', 'renderer/tsconfig.json'])) ||
        (await run(node, [bin('@biomejs/biome', 'bin/biome'), 'check', '.'])) ||
        (await run(node, [
          bin('prettier', 'bin/prettier.cjs'),
          '--check',
          '--log-level',
          'warn',
          '{renderer,methods}/**/*.svelte',
        ])) ||
        (await checkNative(node))
      );
    case 'test':
      build(node); // the command line is tested as it is built
      return run(node, [bin('vitest', 'vitest.mjs'), 'run', ...args]);
    case 'race':
      build(node);
      return run(node, [join(ROOT, 'tools', 'race.mjs'), ...args]);
    case 'start':
      build(node);
      return start(node);
    default:
      build(node);
      return run(
        node,
        [join(ROOT, 'out', 'electron', 'cli.js'), ...(command === 'conmim' ? [] : [command]), ...args],
        process.env.INIT_CWD,
      );
  }
}

/** The desktop application where Electron's binary is installed, else the same window in the browser. */
function start(node) {
  const folder = join(ROOT, 'node_modules', 'electron');
  const named = join(folder, 'path.txt'); // written when the binary was fetched; asking the package would fetch it
  const binary = process.env.ELECTRON_OVERRIDE_DIST_PATH
    ? join(process.env.ELECTRON_OVERRIDE_DIST_PATH, process.platform === 'win32' ? 'electron.exe' : 'electron')
    : existsSync(named)
      ? join(folder, 'dist', readFileSync(named, 'utf8').trim())
      : null;
  if (binary && existsSync(binary)) return run(binary, [ROOT]);
  say(
    "Electron's binary is not installed, so the window opens in your browser. To have the desktop application: `node " +
      'node_modules/electron/install.js`, then `npm start` again.',
  );
  return run(node, [join(ROOT, 'out', 'electron', 'cli.js'), 'serve', '--open']);
}

/** Signals that a process gets by what its native code does. */
const CRASHES = new Set(['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGABRT']);

/** Runs a program in this one's place: same streams, same signals, same exit code. */
function run(node, args, cwd = ROOT) {
  return new Promise((resolve, reject) => {
    // Node keeps what it has compiled, of the program and of its packages, for the next start.
    const env = { NODE_COMPILE_CACHE: COMPILED, ...process.env };
    const child = spawn(node, args, { stdio: 'inherit', cwd, env });
    // A terminal sends Ctrl-C to the child itself; who signals only this process means the child.
    process.on('SIGINT', () => [0, 1, 2].some((fd) => isatty(fd)) || child.kill('SIGINT'));
    for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (CRASHES.has(signal))
        say(
          `The program was ended by ${signal}, which native code does that is damaged or wrong: \`npm run setup -- ` +
            '--verify` compares every file of TensorFlow, and fetches it again where one differs.',
        );
      resolve(signal ? 128 + constants.signals[signal] : code);
    });
  });
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    const sentence = error instanceof Sentence ? error : unwritable(ROOT, error);
    say(sentence ? sentence.message : (error.stack ?? String(error)));
    process.exitCode = 1;
  },
);
