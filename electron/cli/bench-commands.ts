import type { Command } from 'commander';
import { addLoaderBench } from './bench-loader-command.ts';
import { addMemoryBench } from './bench-memory-command.ts';
import { addRetrievalBench } from './bench-retrieval-command.ts';
import { addStartBench } from './bench-start-command.ts';
import { addStepBench } from './bench-step-command.ts';

/** bench step, profile, loader, start, memory, retrieval. */
export function addBenchCommands(program: Command): void {
  const bench = program.command('bench').description('measure parts of this program on this machine');
  addStepBench(bench);
  addLoaderBench(bench);
  addStartBench(bench);
  addMemoryBench(bench);
  addRetrievalBench(bench);
}
