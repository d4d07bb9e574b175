import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { compiledKernels } from './backend.ts';

let collect: (() => void) | null = null;

/**
 * Has JavaScript free now what it would free some time, and gives it back to the system. The arrays that a network was made
 * of are as large as the network, and lie outside of the heap that says when it is time.
 */
export function collectGarbage(): void {
  if (!collect) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  compiledKernels()?.returnFreed();
}
