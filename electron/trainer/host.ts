import type { ChildProcess } from 'node:child_process';
import { type ErrorReport, toReport } from '../../shared/errors.ts';
import type { RunStatus } from '../../shared/run.ts';
import { workerFile } from '../files/project.ts';
import { endWords } from '../processes/signals.ts';
import { startProcess } from '../processes/start-process.ts';
import type { TrainerMessage, TrainerOrder } from './protocol.ts';

export interface TrainerEnd {
  status: RunStatus;
  step: number;
  error: ErrorReport | null;
}

export interface TrainerHandle {
  pid: number;
  pause(): void;
  stop(): void;
  /** Lets it go on when this process ends. */
  detach(): void;
  /** Resolves when its process has the run, true, or will never have it, false. */
  claimed: Promise<boolean>;
  /** How it ended; a process that died without a word ends 'interrupted'. */
  ended: Promise<TrainerEnd>;
}

/** Lines of the process's error output that are kept to explain a crash. */
const KEPT_LINES = 20;

/** Starts a process that trains a run, and watches it. */
export function startTrainer(
  database: string,
  runId: number,
  onMessage: (message: TrainerMessage) => void,
): TrainerHandle {
  const worker = workerFile('trainer');
  let child: ChildProcess;
  try {
    child = startProcess(worker, [database, String(runId)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      detached: true, // a session of its own: a terminal that closes does not end it
      env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3' },
    });
  } catch (error) {
    return neverStarted(toReport(error));
  }
  let lines: string[] = [];
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    lines = [...lines, ...text.split('\n').filter(Boolean)].slice(-KEPT_LINES);
  });
  const claimed = Promise.withResolvers<boolean>();
  let end: TrainerEnd | null = null;
  let step = 0;
  child.on('message', (message: TrainerMessage) => {
    if (message.type === 'claimed') claimed.resolve(true);
    if (message.type === 'metric') step = message.metric.step;
    if (message.type === 'ended') end = { status: message.status, step: message.step, error: message.error };
    onMessage(message);
  });
  const ended = new Promise<TrainerEnd>((resolve) => {
    const died = (why: string) =>
      resolve(
        end ?? {
          status: 'interrupted',
          step,
          error: {
            kind: 'trainer-died',
            what: `The process that trained run ${runId} ended without a word.`,
            why: [why, ...lines.slice(-3)].join(' '),
            next: `Nothing before its last checkpoint is lost: \`conmim resume ${runId}\` goes on from there.`,
          },
        },
      );
    child.once('error', (error) => died(error.message));
    child.once('close', (code, signal) => died(endWords(code, signal)));
  });
  void ended.then(() => claimed.resolve(false));
  const order = (type: TrainerOrder['type']) => {
    if (child.connected) child.send({ type } satisfies TrainerOrder);
  };
  const detach = () => {
    order('detach');
    if (child.connected) child.disconnect();
    child.stderr!.destroy();
    child.unref();
  };
  const orders = { pause: () => order('pause'), stop: () => order('stop'), detach };
  return { pid: child.pid!, ...orders, claimed: claimed.promise, ended };
}

function neverStarted(error: ErrorReport): TrainerHandle {
  const nothing = () => {};
  const ended = Promise.resolve<TrainerEnd>({ status: 'interrupted', step: 0, error });
  return { pid: 0, pause: nothing, stop: nothing, detach: nothing, claimed: Promise.resolve(false), ended };
}
