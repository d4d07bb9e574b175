import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { signalWords } from '../../electron/processes/signals.ts';

test('every signal is said for what it is; memory is named where it can be the reason', () => {
  const names = Object.keys(constants.signals);
  for (const name of names) expect(signalWords(name)).toMatch(new RegExp(`^Signal ${name}: .{10,}\\.$`));
  expect(names.filter((name) => signalWords(name).includes('memory runs out')).sort()).toEqual(['SIGABRT', 'SIGKILL']);
});
