import { existsSync, readFileSync } from 'node:fs';
import type { BenchAnswer } from '../bench/retrieval.ts';
import { Scanner } from '../services/retrieval/scan.ts';
import { type Hit, VectorIndex } from '../services/retrieval/vector-index.ts';

/**
 * A process of its own, without TensorFlow, so that its memory is the index's: `workers/bench FOLDER WIDTH QUERIES K GROUP`.
 * QUERIES holds rows of `[1 + width]` float32: the row that the query is of, and its vector.
 */
const [folder, width, queries, k, group] = process.argv.slice(2) as [string, string, string, string, string];
const w = Number(width);
const start = performance.now();
const index = await VectorIndex.open(folder, w);
await Scanner.make(w);
const open_ms = performance.now() - start;
const opened = process.memoryUsage.rss();
const bytes = readFileSync(queries);
const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const hits: Hit[][] = [];
const times: number[] = [];
for (let at = 0; at < all.length; at += 1 + w) {
  const own = Math.floor(all[at]! / Number(group));
  const before = performance.now();
  hits.push(
    index.search(all.subarray(at + 1, at + 1 + w), {
      k: Number(k),
      accept: (row) => Math.floor(row / Number(group)) !== own,
    }),
  );
  times.push(performance.now() - before);
}
// Not getrusage's figure, which on Linux starts from that of the process that forked this one.
const high = existsSync('/proc/self/status') && /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
const peak = 1024 * (high ? Number(high) : process.resourceUsage().maxRSS);
process.send!({ hits, times, peak, opened, open_ms } satisfies BenchAnswer, () => process.exit());
