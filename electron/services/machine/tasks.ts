import type { TaskRef } from '../../../shared/contract/started.ts';
import { runJob } from '../ground/jobs.ts';
import type { Tasks } from '../ground/tasks.ts';
import { tryBackends } from './backend-trial.ts';
import { installRuntime } from './install.ts';

/** @param home the data folder, whose database is looked at too */
export const startDoctor = (tasks: Tasks, home: string): TaskRef<'doctor'> =>
  tasks.start('doctor', 'Looking at the machine', ({ signal }) => runJob('doctor', { home }, { signal }));

/** One that is going on already is that one. */
export function startTrial(tasks: Tasks): TaskRef<'trial'> {
  const going = tasks.list().find(({ kind, status }) => kind === 'trial' && status === 'running');
  return going ? { task: going.id, kind: 'trial' } : tasks.start('trial', 'Trying the backends', tryBackends);
}

export const startInstall = (tasks: Tasks, variant: 'cpu' | 'cuda'): TaskRef<'install'> =>
  tasks.start('install', `Setting up TensorFlow (${variant})`, async (control) => {
    await installRuntime(variant, control);
    return {};
  });
