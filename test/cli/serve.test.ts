import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const CLI = join(import.meta.dirname, '../../out/electron/cli.js');

const until = async (what: () => boolean) => {
  const limit = Date.now() + 60_000;
  while (!what()) {
    if (Date.now() > limit) throw new Error(`waited in vain: ${what}`);
    await new Promise((r) => setTimeout(r, 20));
  }
};

test.skipIf(process.platform !== 'linux')(
  'the browser is opened by a file of its owner: no argument holds the token',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'serve-'));
    const home = join(folder, 'home');
    const [browser, seen] = [join(folder, 'browser'), join(folder, 'seen')];
    writeFileSync(browser, `#!/bin/sh\nprintf '%s\\n' "$@" > '${seen}.part'\nmv '${seen}.part' '${seen}'\n`);
    chmodSync(browser, 0o755);
    const child = spawn(process.execPath, [CLI, 'serve', '--open', '--port', '0', '--json', '--home', home], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, BROWSER: browser, DISPLAY: '', XDG_CURRENT_DESKTOP: '', DESKTOP_SESSION: '' },
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    const ended = new Promise((resolve) => child.once('close', resolve));
    try {
      await until(() => existsSync(seen));
      const { url } = JSON.parse(text) as { url: string };
      const token = new URL(url).searchParams.get('token')!;
      const opened = readFileSync(seen, 'utf8').trim();
      expect(opened).not.toContain(token);
      const file = opened.replace(/^file:\/\//, '');
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(readFileSync(file, 'utf8')).toContain(url);
      expect(readFileSync(`/proc/${child.pid}/cmdline`, 'utf8')).not.toContain(token);
      child.kill('SIGTERM');
      await ended;
      expect(existsSync(file)).toBe(false);
    } finally {
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true });
    }
  },
);
