/** A process that writes: `writer checkpoints|metrics|create DATABASE RUN FIRST`. */
import { createHash } from 'node:crypto';
import { Store } from '../../electron/store/store.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import type { Metric } from '../../shared/run.ts';
import type { StateDict } from '../../shared/tensors.ts';

const [what, path, run, first] = process.argv.slice(2) as [string, string, string, string];
const store = Store.open(path);

const metric = (step: number): Metric => ({
  step,
  epoch: 0,
  time: 0,
  loss: 1,
  figures: { top1: 0, top5: 0 },
  grad_norm: 1,
  lr: 1,
  weight_decay: 0,
  momentum: 1,
  images_per_s: 1,
  data_wait: 0,
  replaced: 0,
});

switch (what) {
  case 'create':
    store.datasets.create({ name: `dataset ${first}`, folders: [], labels: 'none' });
    break;
  case 'metrics':
    for (let i = 0; i < 200; i++) {
      store.metrics.add(Number(run), metric(Number(first) + i));
      if (i % 50 === 0) saveCheckpoint(Number(first) + i);
    }
    break;
  case 'checkpoints':
    for (let step = Number(first); ; step++) {
      saveCheckpoint(step);
      process.stdout.write(`${step}\n`);
    }
}
store.close();

/** With the hash of its tensors in its state. */
function saveCheckpoint(step: number): void {
  const hash = createHash('sha256');
  const part = (seed: number): StateDict => {
    const tensors: StateDict = new Map();
    for (let i = 0; i < 4; i++) {
      const data = new Float32Array(20_000).fill(step + seed + i / 10);
      hash.update(data);
      tensors.set(`t${i}`, { shape: [20_000], data });
    }
    return tensors;
  };
  const parts = { student: part(0.1), teacher: part(0.2), exp_avg: part(0.3), exp_avg_sq: part(0.4) };
  const state = { content: hash.digest('hex') };
  const config = runConfigSchema.parse({});
  store.checkpoints.save(Number(run), { step, epoch: 0, loss: 1, config, state, metrics: [metric(step)] }, parts);
}
