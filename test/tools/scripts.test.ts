import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

test.skipIf(process.platform === 'win32').each(['start', 'demo', 'conmim'])(
  'npm run %s: what npm signals is the program, and not a shell that keeps the signal to itself',
  async (name) => {
    const script = scripts[name]!.replace(
      'tools/bootstrap.mjs',
      '-e "setInterval(() => {}, 1e9); console.log(process.pid)"',
    );
    const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [said] = await once(child.stdout, 'data');
    expect(Number(said)).toBe(child.pid);
    child.kill('SIGTERM');
    await once(child, 'close');
  },
);

test('cmd.exe, which has no exec, finds one that runs what stands behind it', () => {
  expect(readFileSync(join(ROOT, 'exec.cmd'), 'utf8').trimEnd().split('\r\n').at(-1)).toBe('@%*');
});
