import type { StateDict } from '../../shared/domain.ts';
import { AppError } from '../../shared/errors.ts';

/** Reading .pth is not written yet: it says so. */
export function readPth(path: string): { tensors: StateDict; prefixKey: string | null; ignored: string[] } {
  throw new AppError('bad-file', `${path} cannot be read yet.`, '', 'Save it as .safetensors with safetensors.torch.save_file, and import that.');
}
