import { execFile } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import pidusage from 'pidusage';
import type { Usage } from '../../../shared/contract/machine.ts';

/** A driver that is stuck answers never, ms. */
const SMI_PATIENCE = 10_000;

const cpuTimes = () => {
  const all = cpus().map(({ times }) => times);
  const idle = all.reduce((sum, t) => sum + t.idle, 0);
  return { idle, total: all.reduce((sum, t) => sum + t.user + t.nice + t.sys + t.idle + t.irq, 0) };
};

/** What the machine is busy with, since it was asked last. */
export class UsageMeter {
  #before = cpuTimes();
  #hasGpu = true;

  async measure(trainer: { run: number; pid: number } | null): Promise<Usage> {
    const now = cpuTimes();
    const passed = now.total - this.#before.total;
    const cpu = passed > 0 ? 1 - (now.idle - this.#before.idle) / passed : 0;
    this.#before = now;
    const [training, gpus] = await Promise.all([trainer && pidusage(trainer.pid).catch(() => null), this.#gpus()]);
    return {
      cpu,
      memory: { used: totalmem() - process.availableMemory(), total: totalmem() },
      trainer:
        trainer && training
          ? { run: trainer.run, cpu: training.cpu / 100 / cpus().length, memory: training.memory }
          : null,
      gpus,
    };
  }

  #gpus(): Promise<Usage['gpus']> {
    if (!this.#hasGpu) return Promise.resolve([]);
    const query = 'name,utilization.gpu,memory.used,memory.total';
    return new Promise<Usage['gpus']>((resolve) =>
      execFile(
        'nvidia-smi',
        [`--query-gpu=${query}`, '--format=csv,noheader,nounits'],
        { timeout: SMI_PATIENCE, killSignal: 'SIGKILL' },
        (error, stdout) => {
          // No driver: it is not asked again. That there is no room for a process passes.
          if (error) this.#hasGpu = ['EMFILE', 'EAGAIN', 'ENOMEM'].includes(String(error.code));
          resolve(error ? [] : stdout.trim().split('\n').map(parseGpu));
        },
      ),
    ).catch(() => []);
  }
}

function parseGpu(line: string): Usage['gpus'][number] {
  const [name = '', use, used, total] = line.split(', ');
  const megabytes = (text: string | undefined) => Number(text) * 2 ** 20;
  return { name, use: Number(use) / 100, memory_used: megabytes(used), memory_total: megabytes(total) };
}
