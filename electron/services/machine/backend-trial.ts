import type { BackendName, Trial, TrialResult } from '../../../shared/backends.ts';
import { AppError, toReport } from '../../../shared/errors.ts';
import { workerFile } from '../../files/project.ts';
import { askProcess } from '../../processes/asked-process.ts';
import { storeTrial } from '../../runtime/choice.ts';
import { machineFacts } from '../../runtime/machine.ts';
import type { TaskControl } from '../ground/tasks.ts';

export { backendChoice, chooseBackend } from '../../runtime/choice.ts';

/** What is tried, the likely fastest first; plain JavaScript is for tests alone. */
const TRIED: readonly BackendName[] = ['tensorflow', 'webgpu', 'wasm'];
/** A backend that has said nothing for so long hangs, or is of no use, s. A busy machine may take half of it to load one. */
const PATIENCE = 60;

/** What the process of one backend is asked: whole training steps. Its progress tells that it does not hang. */
export interface TrialQuestions {
  trial: [BackendName, Omit<TrialResult, 'name'>];
}

export interface TrialOptions extends Partial<TaskControl> {
  /** The program that tries one backend. */
  worker?: string;
}

/**
 * Trains with each backend for a few seconds, each in a process of its own, so that one that crashes or hangs does no
 * other harm. Keeps the results for this machine; `auto` uses the fastest from then on.
 * @throws AppError canceled, with nothing kept; bad-file where the choice cannot be kept
 */
export async function tryBackends(options: TrialOptions = {}): Promise<Trial> {
  const machine = machineFacts();
  const results: TrialResult[] = [];
  for (const [i, name] of TRIED.entries()) {
    options.progress?.(i, TRIED.length, name);
    results.push(await tryOne(name, options));
  }
  const works = results.filter((one) => one.images_per_s !== null);
  const pick = works.sort((a, b) => b.images_per_s! - a.images_per_s!)[0]?.name ?? null;
  const trial = { at: Date.now(), machine, results, pick };
  storeTrial(trial);
  return trial;
}

const NOTHING = { device: null, images_per_s: null, load_s: null, first_step_s: null, steps: 0 };

async function tryOne(name: BackendName, { signal, worker }: TrialOptions): Promise<TrialResult> {
  try {
    const figures = await askProcess<TrialQuestions, 'trial'>(worker ?? workerFile('trial'), [name], 'trial', name, {
      signal,
      patience: PATIENCE * 1000,
      does: `tried ${name}`,
      next: 'Try again.',
    });
    return { name, ...figures };
  } catch (error) {
    if (signal?.aborted) throw new AppError('canceled', 'The trial was canceled.', '', 'Nothing was kept.');
    const { kind, what, why } = toReport(error);
    // One that fails after some steps would fail a run, too: its figures do not count.
    return { name, ...NOTHING, why: kind === 'trainer-died' ? `${what} ${why}` : why || what };
  }
}

/** Images/s of each backend, or why it does not work. */
export function trialRows({ results, pick }: Trial): string[] {
  return results.map(({ name, images_per_s, device, load_s, first_step_s, why }) =>
    images_per_s === null
      ? `${name}: does not work. ${why}`
      : `${name}: ${images_per_s.toPrecision(3)} images/s on ${device}, loaded in ${load_s!.toFixed(1)} s, first step ` +
        `after ${first_step_s!.toFixed(1)} s${name === pick ? ' (picked)' : ''}`,
  );
}
