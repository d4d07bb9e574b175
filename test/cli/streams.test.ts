import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scratch } from '../store/helpers.ts';

const CLI = join(import.meta.dirname, '../../out/electron/cli.js');

/** The built program under a shell: `conmim` is it. Its standard error goes to $ERR. */
function shell(script: string, env: Record<string, string> = {}) {
  const folder = scratch();
  const head = `conmim() { "${process.execPath}" "${CLI}" --home "${join(folder, 'home')}" "$@"; }; ERR="${join(folder, 'err')}"; : > "$ERR"; `;
  const tail = `\necho "code $?"; cat "$ERR"`;
  const { stdout } = spawnSync('bash', ['-c', `${head}${script}${tail}`], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  const [, code, said] = /code (\d+)\n([\s\S]*)$/.exec(stdout)!;
  return { code: Number(code), said: said!, all: stdout };
}
/** Commands that say something at once: of each file of commands one, a help and a failure. */
const SAID = ['settings --json', 'datasets', 'runs', 'indexes', 'prepared', '--help', '--version', 'bench --help'];

test.skipIf(process.platform === 'win32').each(SAID)('a reader that has gone is no fault: conmim %s', (command) => {
  const { code, said } = shell(`set -o pipefail; conmim ${command} 2>"$ERR" | (exec 0<&-; sleep 1)`);
  expect(said).toBe('');
  expect(code).toBe(0);
});

test.skipIf(process.platform === 'win32')('a failure stays one, whoever reads it', () => {
  const { code, said } = shell(`set -o pipefail; conmim show nothing --json 2>"$ERR" | (exec 0<&-; sleep 1)`);
  expect(said).toContain('There is no run "nothing".');
  expect(said).not.toContain('    at ');
  expect(code).toBe(1);
  expect(shell('conmim show nothing 2>&1 >/dev/null | (exec 0<&-; sleep 1); true').all).not.toContain('    at ');
});

test.skipIf(!existsSync('/dev/full'))('no room for what it says: a sentence, and not 0', () => {
  for (const command of ['settings --json', 'runs', '--help']) {
    const { code, said } = shell(`conmim ${command} >/dev/full 2>"$ERR"`);
    expect(said, command).toMatch(/^Standard output cannot be written to\.\n.*ENOSPC/);
    expect(said.match(/cannot be written/g), command).toHaveLength(1);
    expect(said, command).not.toContain('    at ');
    expect(code, command).toBe(1);
  }
  // Where there is no room on standard error, what it computed is still said.
  expect(shell('conmim runs 2>/dev/full').all).toContain('No run yet');
  expect(shell('conmim show nothing 2>/dev/full').code).toBe(1);
  expect(shell('conmim runs >/dev/full 2>/dev/full').code).toBe(1);
});

test.skipIf(process.platform === 'win32')('a terminal that can do nothing gets no escape codes', () => {
  const { all } = shell('conmim show nothing 2>&1; conmim runs', { TERM: 'dumb' });
  expect(all).not.toContain('\x1b');
});

test('the version is said, for a person and as JSON', () => {
  const { version } = JSON.parse(shell('conmim --version --json').all.replace(/code 0\n$/, ''));
  expect(shell('conmim --version').all).toBe(`${version}\ncode 0\n`);
  expect(shell('conmim -V').all).toBe(`${version}\ncode 0\n`);
});
