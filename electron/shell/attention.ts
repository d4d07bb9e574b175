import { type BrowserWindow, Notification, powerSaveBlocker } from 'electron';
import type { AppEvent } from '../../shared/contract/events.ts';
import type { RunRow } from '../../shared/contract/runs.ts';
import { count, fixed } from '../../shared/words.ts';
import type { Program } from './shell.ts';

const ENDED = {
  finished: 'is finished',
  failed: 'has failed',
  interrupted: 'was interrupted',
  paused: 'is paused',
  stopped: 'is stopped',
} as const;
/** Ends that a notification tells: those that nobody asked for, and the one that was waited for. */
const TOLD = new Set<string>(['finished', 'failed', 'interrupted']);

/**
 * What a desktop tells while nobody looks: progress at the taskbar, a notification when a run ends or fails. Sleep is
 * blocked while a run trains. @returns ends it
 */
export function payAttention(program: Program, window: () => BrowserWindow | null, show: (run: number) => void) {
  const training = new Map<number, RunRow>();
  let blocker: number | null = null;

  function tellProgress() {
    const first = training.values().next().value;
    window()?.setProgressBar(first ? first.step / Math.max(1, first.total_steps) : -1);
    if (training.size > 0 && blocker === null) blocker = powerSaveBlocker.start('prevent-app-suspension');
    if (training.size === 0 && blocker !== null) {
      powerSaveBlocker.stop(blocker);
      blocker = null;
    }
  }
  function hear(event: AppEvent) {
    if (event.type === 'metrics') {
      const run = training.get(event.run);
      const step = event.metrics.at(-1)?.step;
      if (!run || step === undefined) return;
      training.set(run.id, { ...run, step });
      tellProgress();
    } else if (event.type === 'run') {
      const { run } = event;
      const wasTraining = training.has(run.id);
      if (run.status === 'running') training.set(run.id, run);
      else training.delete(run.id);
      tellProgress();
      if (wasTraining && run.status in ENDED && TOLD.has(run.status)) tell(run);
    }
  }
  function tell(run: RunRow) {
    if (run.status !== 'finished') window()?.setProgressBar(1, { mode: 'error' });
    if (!Notification.isSupported()) return;
    const notification = new Notification({
      title: `${run.name} ${ENDED[run.status as keyof typeof ENDED]}`,
      body: run.error ? run.error.what : `Step ${count(run.step)}, loss ${fixed(run.last?.loss, 3)}`,
    });
    notification.on('click', () => show(run.id));
    notification.show();
  }
  const end = program.listen(({ event }) => hear(event));
  return () => {
    end();
    if (blocker !== null) powerSaveBlocker.stop(blocker);
    blocker = null;
  };
}
