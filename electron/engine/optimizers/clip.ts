import { sumSquares } from '../kernels/sums.ts';
import type { Gradients } from '../weights.ts';

/** Global norm of all gradients. */
export function gradientNorm(gradients: Gradients): number {
  const total = sumSquares([...gradients.tensors.values()]);
  const [square] = total.dataSync();
  total.dispose();
  return Math.sqrt(square!) / gradients.scale;
}

/** The factor of `torch.nn.utils.clip_grad_norm_`. */
export const clipFactor = (norm: number, clip: number | null) =>
  clip === null ? 1 : Math.min(1, clip / (norm + 1e-6));
