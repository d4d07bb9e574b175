import { beforeEach, expect, test, vi } from 'vitest';

const electron = vi.hoisted(() => ({
  quits: 0,
  errors: [] as string[],
  beforeQuit: (_: { preventDefault(): void }) => {},
}));
vi.mock('electron', () => ({
  app: {
    on: (_: string, listener: typeof electron.beforeQuit) => {
      electron.beforeQuit = listener;
    },
    quit: () => {
      electron.quits++;
      let isPrevented = false;
      electron.beforeQuit({ preventDefault: () => (isPrevented = true) });
      if (!isPrevented) electron.errors.push('gone');
    },
  },
  dialog: {
    showErrorBox: (_: string, text: string) => electron.errors.push(text),
    showMessageBox: () => Promise.reject(new Error('no display')),
  },
}));
const { askBeforeQuitting } = await import('../../electron/shell/quit.ts');

beforeEach(() => {
  electron.quits = 0;
  electron.errors.length = 0;
});
const training = [{ name: 'first', step: 1, total_steps: 9 }];

test.each([
  ['the disk is full', () => Promise.reject(new Error('database or disk is full')), [] as typeof training],
  ['nobody can be asked', () => Promise.resolve(), training],
])('the application can be quit where %s', async (_, close, running) => {
  const modes: string[] = [];
  const program = {
    runningRuns: () => running,
    close: (mode: string) => {
      modes.push(mode);
      return close();
    },
  };
  askBeforeQuitting(program, () => null);
  electron.beforeQuit({ preventDefault: () => {} });
  await vi.waitFor(() => expect(electron.errors.at(-1)).toBe('gone'), { timeout: 30_000 });
  expect(modes).toEqual(['pause']);
  expect(electron.errors.length).toBe(running.length > 0 ? 1 : 2); // why it did not end well is said
});
