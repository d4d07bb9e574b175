import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { suggested } from '../../shared/command.ts';

const NAMES = [
  'pictures',
  'my pictures',
  `it's "mine"`,
  "''",
  '$HOME `id` $(id) !! *',
  'a;b|c&d>e<f#g~h',
  'back\\slash\\',
  'ends in a line\nand goes on',
  '-rf',
  '--size',
  '写真 été',
  '#1',
  '~',
  'a{b,c}',
  '%d',
];

test.skipIf(process.platform === 'win32').each(NAMES)('a shell takes %j as one word', (name) => {
  const line = suggested('prepare', [name], '--size 256', 'linux');
  const script = `conmim() { for word; do printf '%s\\0' "$word"; done; }\n${line}`;
  const { stdout, stderr } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
  expect(stderr).toBe('');
  const dashes = name.startsWith('-') ? ['--'] : [];
  expect(stdout.split('\0')).toEqual(['prepare', '--size', '256', ...dashes, name, '']);
});

test('what needs no quotes has none; Windows has its own', () => {
  expect(suggested('prepare', ['pictures'], '--size 256', 'darwin')).toBe('conmim prepare --size 256 pictures');
  expect(suggested('dataset', ['my pictures'], '', 'linux')).toBe(`conmim dataset 'my pictures'`);
  expect(suggested('dataset', ['my pictures'], '', 'win32')).toBe('conmim dataset "my pictures"');
  expect(suggested('dataset', ['a "b" c:\\d e\\'], '', 'win32')).toBe(String.raw`conmim dataset "a \"b\" c:\d e\\"`);
});
