// biome-ignore lint/style/noRestrictedImports: a switch of the system, which is no file
import { writeFileSync } from 'node:fs';
import sharp from 'sharp';
import { AppError, type ErrorReport, toReport } from '../../shared/errors.ts';
import { decodeImage } from './decode.ts';
import { decodesOneAtATime } from './decode-fault.ts';
import { askForMemoryAt, SMALL } from './memory.ts';
import { type ProbeLimits, type ProbeResult, probeFile } from './probe.ts';

/** What this process is asked: to probe a file, or for a small picture of one (WebP, its longer side at most `side`). */
export type DecoderJob =
  | { kind: 'probe'; path: string; limits: ProbeLimits }
  | { kind: 'picture'; path: string; shrinkTo: { width: number; height: number }; side: number };
export interface DecoderResults {
  probe: ProbeResult;
  picture: Uint8Array;
}

export type DecoderRequest = { type: 'job'; id: number; job: DecoderJob } | { type: 'memory'; ask: number };
export type DecoderMessage =
  | { type: 'result'; id: number; value: DecoderResults[DecoderJob['kind']] }
  | { type: 'error'; id: number; error: ErrorReport }
  | { type: 'take'; ask: number; need: number }
  | { type: 'give'; ask: number };

// One image at a time: libvips has one error text for the whole process, which then belongs to that image.
decodesOneAtATime();
sharp.cache(false);
sharp.concurrency(1);
try {
  // If memory runs out, the system should kill this process, and not the program.
  if (process.platform === 'linux') writeFileSync('/proc/self/oom_score_adj', '1000');
} catch {
  // Not allowed here: then the system chooses.
}

const say = (message: DecoderMessage) => process.send!(message, () => {});

const waiting = new Map<number, () => void>();
let asks = 0;
askForMemoryAt(async (need) => {
  if (need < SMALL) return () => {};
  const ask = ++asks;
  say({ type: 'take', ask, need });
  await new Promise<void>((resolve) => waiting.set(ask, resolve));
  return () => say({ type: 'give', ask });
});

let turn: Promise<unknown> = Promise.resolve();
/** Runs `act` after all that was asked for before. */
function inTurn<T>(act: () => Promise<T>): Promise<T> {
  const mine = turn.then(act);
  turn = mine.catch(() => {});
  return mine;
}

async function picture({ path, shrinkTo, side }: DecoderJob & { kind: 'picture' }): Promise<Uint8Array> {
  const { data, width, height } = await decodeImage(path, { shrinkTo });
  return sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false })
    .resize(side, side, { fit: 'inside', withoutEnlargement: true })
    .webp({ quality: 82 })
    .toBuffer();
}

process.on('message', async (message: DecoderRequest) => {
  if (message.type === 'memory') {
    waiting.get(message.ask)?.();
    waiting.delete(message.ask);
    return;
  }
  const { id, job } = message;
  try {
    // The next file is read while this one is decoded.
    const value = await (job.kind === 'probe' ? probeFile(job.path, job.limits, inTurn) : inTurn(() => picture(job)));
    say({ type: 'result', id, value });
  } catch (error) {
    say({
      type: 'error',
      id,
      error: toReport(error instanceof AppError ? error : new AppError('internal', String(error))),
    });
  }
});
process.once('disconnect', () => process.exit());
