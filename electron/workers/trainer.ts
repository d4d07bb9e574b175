import { AppError, type ErrorReport, toReport } from '../../shared/errors.ts';
import type { RunStatus } from '../../shared/run.ts';
import { sinceStart, span } from '../processes/spans.ts';
import { Store } from '../store/store.ts';
import type { FineTuning } from '../trainer/fine-tuning.ts';
import { LabelledData } from '../trainer/labelled-data.ts';
import type { TrainingEvents } from '../trainer/loop.ts';
import type { TrainerMessage, TrainerOrder } from '../trainer/protocol.ts';
import { pretrainingData, type RunData } from '../trainer/run-data.ts';
import type { Training } from '../trainer/training.ts';

/**
 * The process that trains: `workers/trainer DATABASE RUN`. A crash of native code in here ends a run and nothing else. Orders
 * come as messages, or through the run's row from any other process.
 */
const [database, runId] = process.argv.slice(2) as [string, string];
/** The row is asked for requests this often, ms. */
const ASK_EVERY = 500;

const say = (message: TrainerMessage) => {
  // Who listens may be gone before this process knows: a message that cannot be said is no reason to end.
  if (process.connected) process.send!(message, undefined, undefined, () => {});
};

async function main(): Promise<void> {
  sinceStart('trainer loaded');
  const store = Store.open(database);
  const run = store.runs.get(Number(runId));
  const lock = store.runs.claim(run.id, process.pid);
  if (lock === 'withdrawn') {
    const { status, step } = store.runs.get(run.id);
    say({ type: 'ended', status, step, error: null });
    return;
  }
  if (lock === 'held') {
    throw new AppError(
      'conflict',
      `Run ${run.id} is already being trained by another process.`,
      '',
      'Wait for it, or pause it first.',
    );
  }
  say({ type: 'claimed' });
  let ordered: 'pause' | 'stop' | null = null;
  let isAlone = false;
  process.on('message', ({ type }: TrainerOrder) => {
    if (type === 'detach') {
      isAlone = true;
      process.stderr.on('error', () => {}); // nobody reads it any more
    } else ordered = type;
  });
  // The window or terminal that started it is gone: nothing is lost, the run pauses.
  process.on('disconnect', () => {
    if (!isAlone) ordered ??= 'pause';
  });
  for (const signal of ['SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      ordered ??= 'pause';
    });
  process.on('SIGINT', () => {}); // the terminal sends it to both; the parent decides

  let askedAt = 0;
  const request = () => {
    if (ordered) return ordered;
    if (performance.now() - askedAt < ASK_EVERY) return null;
    askedAt = performance.now();
    return store.runs.get(run.id).request;
  };

  let status: RunStatus = 'failed';
  let error: ErrorReport | null = null;
  let data: RunData | null = null;
  let training: Training | FineTuning | null = null;
  let runtime = run.runtime;
  try {
    // Its threads load the first batch while this one loads TensorFlow, which is why the arithmetic is not imported above.
    data = run.finetune ? new LabelledData(store, run, run.finetune) : pretrainingData(store, run);
    const computes = span('TensorFlow loaded');
    const { loadBackend } = await import('../runtime/backend.ts');
    const backend = await loadBackend();
    computes();
    runtime = { ...backend, peak_memory: null };
    store.runs.update(run.id, { runtime });
    for (const text of backend.warnings) store.notices.add(run.id, { key: text, step: run.step, text });
    const events: TrainingEvents = {
      onMetric: (metric) => say({ type: 'metric', metric }),
      onCheckpoint: (checkpoint) => say({ type: 'checkpoint', ...checkpoint }),
      onNotice: (text) => say({ type: 'notice', text }),
      request,
    };
    if (data instanceof LabelledData) {
      const { FineTuning } = await import('../trainer/fine-tuning.ts');
      training = new FineTuning(store, run, run.finetune!, events, data);
    } else {
      const { Training } = await import('../trainer/training.ts');
      training = new Training(store, run, events, data);
    }
    say({
      type: 'started',
      backend,
      from_step: training.step,
      total_steps: run.total_steps,
    });
    status = await training.train();
  } catch (thrown) {
    error = toReport(thrown);
    // A folder that went away comes back: the run waits for it.
    status = error.kind === 'data-vanished' ? 'paused' : 'failed';
    await data?.close();
  }
  const step = training?.step ?? run.step;
  // Both at once: whoever sees how it ended can resume it.
  store.atomically(() => {
    const peak_memory = process.resourceUsage().maxRSS * 1024;
    const known = runtime && { runtime: { ...runtime, peak_memory } };
    store.runs.update(run.id, { status, step, error, pid: null, request: null, ended_at: Date.now(), ...known });
    lock.remove();
  });
  say({ type: 'ended', status, step, error });
  store.close();
}

main().then(
  () => process.connected && process.disconnect(),
  (thrown) => {
    say({ type: 'ended', status: 'failed', step: 0, error: toReport(thrown) });
    process.exitCode = 1;
    if (process.connected) process.disconnect();
  },
);
