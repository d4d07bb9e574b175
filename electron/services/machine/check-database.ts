import { damageError, notedFindings, noteFindings } from '../../store/check.ts';
import { runJob } from '../ground/jobs.ts';
import type { Tasks } from '../ground/tasks.ts';

/**
 * Shows a window the damage of its database: what is known already, or, where the database was not closed the last time,
 * what a check in a process of its own finds.
 */
export function checkDatabase(database: string, tasks: Tasks, isDue: boolean): void {
  const known = notedFindings(database);
  if (!isDue && (known === null || known === 'due')) return;
  tasks.start('check', 'Checking the database', async ({ signal, progress }) => {
    if (isDue) {
      progress(0, 0, 'the program was not closed the last time');
      noteFindings(database, await runJob('check', { database }, { signal }));
    }
    const found = notedFindings(database);
    if (found !== null && found !== 'due') throw damageError(database, found);
    return {};
  });
}
