import { existsSync, readFileSync } from 'node:fs';
import type { BenchAnswer, SearchQuestions } from '../bench/retrieval.ts';
import { answer } from '../processes/answer.ts';
import { Scanner } from '../services/retrieval/scan.ts';
import { type Hit, VectorIndex } from '../services/retrieval/vector-index.ts';

/** A process of its own, without TensorFlow, so that its memory is the index's. */
async function search({ folder, width, file, k, group }: SearchQuestions['search'][0]): Promise<BenchAnswer> {
  const start = performance.now();
  const index = await VectorIndex.open(folder, width);
  await Scanner.make(width);
  const open_ms = performance.now() - start;
  const opened = process.memoryUsage.rss();
  const bytes = readFileSync(file);
  const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const hits: Hit[][] = [];
  const times: number[] = [];
  for (let at = 0; at < all.length; at += 1 + width) {
    const own = Math.floor(all[at]! / group);
    const before = performance.now();
    const accept = (row: number) => Math.floor(row / group) !== own;
    hits.push(index.search(all.subarray(at + 1, at + 1 + width), { k, accept }));
    times.push(performance.now() - before);
  }
  // Not getrusage's figure, which on Linux starts from that of the process that forked this one.
  const high = existsSync('/proc/self/status') && /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  const peak = 1024 * (high ? Number(high) : process.resourceUsage().maxRSS);
  return { hits, times, peak, opened, open_ms };
}

answer<SearchQuestions>({ search });
