import type { SkipReason } from '../../shared/dataset.ts';

/** Why an image file cannot be used: the reason to record, and words for a person. */
export class ImageFault extends Error {
  readonly reason: SkipReason;

  constructor(reason: SkipReason, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.name = 'ImageFault';
    this.reason = reason;
  }
}
