import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, expect, test, vi } from 'vitest';
import { typedPath, userFolder } from '../../electron/files/typed-path.ts';
import { defaultHome } from '../../electron/store/home.ts';
import { catchError, scratch } from '../store/helpers.ts';

const CLI = join(import.meta.dirname, '../../out/electron/cli.js');

/** The built program, in a folder of its own: what it puts there is what it should not. */
function place() {
  const folder = scratch();
  const [here, data] = [join(folder, 'here'), join(folder, 'data')];
  mkdirSync(here);
  const conmim = (env: Record<string, string>, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], {
      encoding: 'utf8',
      cwd: here,
      env: { ...process.env, CONMIM_HOME: join(folder, 'home'), ...env },
    });
    return { status, stdout, stderr, all: stdout + stderr };
  };
  return { folder, here, data, conmim };
}
async function pictures(folder: string, count: number): Promise<string> {
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < count; i++) {
    const background = { r: 60 * i, g: 9, b: 9 };
    await sharp({ create: { width: 40, height: 40, channels: 3, background } })
      .png()
      .toFile(join(folder, `${i}.png`));
  }
  return folder;
}
afterEach(() => void vi.unstubAllEnvs());

test('an empty path is refused, wherever one is given, and nothing is made where the program happens to be', async () => {
  const { here, data, conmim } = place();
  for (const args of [
    ['import', '', '--name', 'x'],
    ['import', here, '', '--name', 'x'],
    ['runs', '--home', ''],
    ['runs', '--home='],
    ['import-weights', ''],
    ['export-weights', '1', ''],
    ['prepared', '--json', '--home', ''],
  ]) {
    const { status, all } = conmim({}, ...args);
    expect(status, args.join(' ')).toBe(1);
    expect(all, args.join(' ')).toMatch(/is empty/);
  }
  // A variable that is set to nothing is none.
  expect(conmim({ CONMIM_HOME: '', XDG_DATA_HOME: data }, 'runs').status).toBe(0);
  expect(readdirSync(join(data, 'conmim-workbench'))).toContain('workbench.sqlite');
  expect(conmim({}, 'datasets', '--json').stdout).toBe('[]\n');
  expect(readdirSync(here)).toEqual([]);
});

test('a name that is typed with spaces around is the name without', async () => {
  const { folder, conmim } = place();
  const images = await pictures(join(folder, 'images'), 3);
  const { status, stdout, stderr } = conmim({}, 'import', images, '--name', 'spaced ');
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toContain('Dataset "spaced": 3 images.');
  expect(conmim({}, 'import', images, '--name', ' spaced').stdout).toContain('3 unchanged');
  expect(conmim({}, 'dataset', 'spaced ').status).toBe(0);
  const long = conmim({}, 'import', images, '--name', 'x'.repeat(300));
  expect(long.status).toBe(1);
  expect(long.stderr).toContain('at most 200');
});

test('~ is the home folder where no shell has replaced it', () => {
  const { data } = place();
  expect(typedPath('~/x', 'it')).toBe(join(homedir(), 'x'));
  expect(typedPath('~', 'it')).toBe(homedir());
  expect(typedPath('~x', 'it')).toBe(join(process.cwd(), '~x'));
  expect(typedPath('./~/x', 'it')).toBe(join(process.cwd(), '~/x'));
  expect(catchError(() => typedPath('', 'a folder'))).toMatchObject({ kind: 'bad-input' });
  expect(catchError(() => typedPath('a\0', 'a folder'))).toMatchObject({ kind: 'bad-input' });
  const env = { XDG_DATA_HOME: data };
  expect(defaultHome('~/mine', env, 'linux')).toBe(join(homedir(), 'mine'));
  expect(defaultHome(undefined, { ...env, CONMIM_HOME: '~/mine' }, 'linux')).toBe(join(homedir(), 'mine'));
  for (const unset of ['', '.', 'relative/data'])
    expect(defaultHome(undefined, { XDG_DATA_HOME: unset }, 'linux')).toBe(
      join(homedir(), '.local/share/conmim-workbench'),
    );
  vi.stubEnv('HOME', '');
  expect(userFolder()).toBe(userInfo().homedir);
  expect(defaultHome(undefined, {}, 'linux')).toBe(join(userInfo().homedir, '.local/share/conmim-workbench'));
});
