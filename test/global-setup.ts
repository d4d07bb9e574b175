import { ensureKernels } from '../tools/bootstrap/kernels.mjs';

/** What the tests load is compiled from the sources of now, also where vitest is called by itself; a moment where it is. */
export default async function setup(): Promise<void> {
  if (process.env.CONMIM_NATIVE) return; // addons that were built elsewhere
  await ensureKernels(process.execPath);
}
