import { ensureKernels } from '../tools/bootstrap/kernels.mjs';
import { ensureScan } from '../tools/bootstrap/scan.mjs';

/** What the tests load is compiled from the sources of now, also where vitest is called by itself; a moment where it is. */
export default async function setup(): Promise<void> {
  await ensureScan();
  if (process.env.CONMIM_NATIVE) return; // addons that were built elsewhere
  await ensureKernels(process.execPath);
}
