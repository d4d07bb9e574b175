import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '../../../shared/errors.ts';
import { ROOT } from '../../files/project.ts';
import { type RuntimeChoice, runtimeChoice } from '../../runtime/runtime-folder.ts';
import type { TaskControl } from '../ground/tasks.ts';

/** Sets up a TensorFlow variant with the program's own set-up, whose lines tell how far it is. */
export async function installRuntime(
  variant: 'cpu' | 'cuda',
  { signal, progress }: TaskControl,
): Promise<RuntimeChoice> {
  const script = join(ROOT, 'tools', 'bootstrap.mjs');
  if (!existsSync(script))
    throw new AppError('not-found', 'The set-up is not part of this copy.', `${script} is missing.`);
  const child = spawn(process.execPath, [script, 'setup', '--variant', variant], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
  });
  const stop = () => child.kill('SIGTERM');
  signal.addEventListener('abort', stop);
  let last = '';
  let done = 0;
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    for (const line of text.split('\n').filter(Boolean)) {
      last = line;
      progress(++done, 0, line.replace(/ …$/, ''));
    }
  });
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve(status ?? 1));
  });
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  const choice = runtimeChoice();
  if (code !== 0) throw new AppError('no-backend', 'The set-up failed.', last, 'Try again; what is there is kept.');
  if (choice.state === 'absent')
    throw new AppError('no-backend', 'TensorFlow could not be set up.', choice.why, 'Then try again.');
  return choice;
}
