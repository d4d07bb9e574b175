import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { findCompiler, findHeaders, flagsOf, NATIVE, sourcesOf, WARNINGS } from './compiler.mjs';
import { say } from './say.mjs';
import { quietly } from './work.mjs';

/** Formatting and warnings of tools/native. What cannot be checked on this machine is said. @returns {Promise<number>} 1 for a fault */
export async function checkNative(node) {
  const isFormatted = await checkFormat();
  return (await checkWarnings(node)) && isFormatted ? 0 : 1;
}

async function checkFormat() {
  const { clangFormatPath } = createRequire(import.meta.url)('clang-format-node');
  if (!existsSync(clangFormatPath)) {
    say(`Formatting of tools/native: skipped, as there is no clang-format for ${process.platform}-${process.arch}.`);
    return true;
  }
  // Not globSync, which Node 20 does not have: this file is read by whatever Node a clone is set up with.
  const files = readdirSync(NATIVE, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(cc|h)$/.test(file))
    .map((file) => join(NATIVE, file));
  const { code, output } = await quietly(clangFormatPath, ['--dry-run', '--Werror', ...files]);
  if (code !== 0) say(`${output}\`npx clang-format -i FILE\` formats a file.`);
  return code === 0;
}

/** Compiled as the set-up does, as some warnings need what the optimizer finds; here a warning is a fault. */
async function checkWarnings(node) {
  const skipped = (why) => say(`Warnings in tools/native: skipped, as ${why}.`);
  if (process.platform !== 'linux') {
    skipped('it is compiled on Linux alone');
    return true;
  }
  const compiler = await findCompiler().catch(() => null);
  if (!compiler) {
    skipped('there is no C++ compiler');
    return true;
  }
  const include = `-I${await findHeaders(node)}`;
  const quiet = { flags: ['-std=c++17', '-O2', '-DNAPI_VERSION=8', ...WARNINGS], source: join(NATIVE, 'quiet.cc') };
  const all = ['kernels', 'imaging'].flatMap((name) =>
    sourcesOf(name).map((source) => ({ flags: flagsOf(name), source })),
  );
  const faults = await Promise.all(
    [...all, quiet].map(async ({ flags, source }) => {
      const args = [...flags.filter((flag) => flag !== '-shared'), '-Werror', include, '-S', '-o', '/dev/null', source];
      const { code, output } = await quietly(compiler, args);
      if (code !== 0) say(output);
      return code !== 0;
    }),
  );
  return !faults.includes(true);
}
