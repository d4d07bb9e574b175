import { app, type BrowserWindow, dialog } from 'electron';
import { toReport } from '../../shared/errors.ts';

interface Quitting {
  runningRuns(): { name: string; step: number; total_steps: number }[];
  close(mode: 'pause' | 'keep' | 'stop'): Promise<void>;
}

const CHOICES = [
  { label: 'Pause and Quit', mode: 'pause' },
  { label: 'Keep Training', mode: 'keep' },
  { label: 'Stop and Quit', mode: 'stop' },
  { label: 'Cancel', mode: null },
] as const;

/** Quitting while a run trains asks what becomes of it; the program is closed before the application goes. */
export function askBeforeQuitting(program: Quitting, window: () => BrowserWindow | null): void {
  let state: 'open' | 'asking' | 'closed' = 'open';
  app.on('before-quit', (event) => {
    if (state === 'closed') return;
    event.preventDefault();
    if (state === 'asking') return;
    state = 'asking';
    // Where nobody can be asked, what trains is paused.
    void decide()
      .catch(() => 'pause' as const)
      .then(async (mode) => {
        if (mode === null) {
          state = 'open';
          return;
        }
        try {
          await program.close(mode);
        } catch (error) {
          // What could not be written now cannot be later either: the application goes all the same.
          const { what, why } = toReport(error);
          dialog.showErrorBox('ConMIM Workbench did not end as it should.', [what, why].filter(Boolean).join(' '));
        }
        state = 'closed';
        app.quit();
      });
  });

  async function decide(): Promise<'pause' | 'keep' | 'stop' | null> {
    const [run, ...others] = program.runningRuns();
    if (!run) return 'pause';
    const parent = window();
    const options = {
      type: 'question' as const,
      message: `"${run.name}" is training${others.length > 0 ? `, and ${others.length} more` : ''}.`,
      detail: `Step ${run.step} of ${run.total_steps}. A paused run goes on later where it was; one that keeps training is found again at the next start.`,
      buttons: CHOICES.map(({ label }) => label),
      defaultId: 0,
      cancelId: CHOICES.length - 1,
    };
    const { response } = await (parent ? dialog.showMessageBox(parent, options) : dialog.showMessageBox(options));
    return CHOICES[response]?.mode ?? null;
  }
}
