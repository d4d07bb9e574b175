import type { RunConfig } from '../../../shared/config.ts';
import type { ImportSummary, PrepareSummary } from '../../../shared/contract/datasets.ts';
import type { HealthShown } from '../../../shared/contract/evaluation.ts';
import type { EmbeddingFormat, EmbeddingReport, Exported, ExportFormat } from '../../../shared/contract/export.ts';
import type { HealthWritten, ImportedWeights, Input } from '../../../shared/contract/index.ts';
import type { DoctorReport, Findings } from '../../../shared/contract/machine.ts';
import type { SizeCost } from '../../../shared/contract/recipes.ts';
import type { BuildReport } from '../../../shared/contract/retrieval.ts';
import type { Evaluated, EvaluationTask } from '../../../shared/evaluation.ts';
import type { RetrievalSpec } from '../../../shared/retrieval.ts';
import { workerFile } from '../../files/project.ts';
import { askProcess, type Progress } from '../../processes/asked-process.ts';

/**
 * Work that needs the engine, long holds the processor, or reads where a disk may hang, and so has a process of its own:
 * what each takes, and what it gives.
 */
export interface Jobs {
  estimate: [{ config: RunConfig; sizes: number[] }, SizeCost[]];
  doctor: [{ home: string }, DoctorReport];
  check: [{ database: string }, Findings];
  evaluate: [InDatabase & { options: EvaluateAsked & { queued: number } }, Evaluated];
  health: [InDatabase & { options: HealthAsked }, HealthWritten];
  'health-page': [InDatabase & { options: Input<'health.measure'> }, HealthShown];
  embeddings: [InDatabase & { options: EmbeddingAsked }, EmbeddingReport];
  export: [InDatabase & { options: ExportAsked }, Exported];
  import: [InDatabase & { options: ImportAsked }, ImportSummary];
  rescan: [InDatabase & { dataset: number }, ImportSummary];
  prepare: [InDatabase & { options: PrepareAsked }, PrepareSummary];
  'export-weights': [InDatabase & { options: WeightsAsked }, { path: string; bytes: number }];
  'import-weights': [InDatabase & { input: Input<'weights.import'> }, ImportedWeights];
  probes: [InDatabase & { run: number }, { computed: number }];
  index: [InDatabase & { spec: RetrievalSpec }, BuildReport];
  travel: [InDatabase & { input: Input<'travel.build'> }, { built: number }];
  map: [InDatabase & { input: Input<'explore.map'> }, { images: number }];
}
export type JobKind = keyof Jobs;
interface InDatabase {
  database: string;
}

/** What is to be evaluated, on what. */
export interface EvaluateAsked {
  checkpoint: number;
  dataset: string | number;
  /** Where the test images come from; without it, a fixed fifth of each class of `dataset`. */
  testDataset?: string | number;
  task: Exclude<EvaluationTask, 'finetune'>;
  /** Neighbours of k-NN. */
  k?: number;
  /** As `contestants` takes it. */
  official?: number | null;
  /** Of evaluations by class: asks the pixels of small images too. */
  pixels?: boolean;
}

export interface HealthAsked {
  checkpoint: number;
  dataset: string | number;
  images?: number;
  file: string;
  /** Writes over a file that is there. */
  replace?: boolean;
}

export interface EmbeddingAsked {
  checkpoint: number;
  dataset: string | number;
  part: 'student' | 'teacher' | 'untrained';
  /** Of images the mean of the patch tokens, or CLS; of patches their tokens, or the projector's features. */
  feature: 'mean' | 'cls' | 'tokens' | 'projector';
  format: EmbeddingFormat;
  file: string;
  /** Writes over files that are there. */
  replace?: boolean;
}

export interface ExportAsked {
  checkpoint: number;
  network: 'student' | 'teacher';
  format: ExportFormat;
  /** Where the weights go; its ending says the format. */
  file: string;
  /** Writes a model card, FILE.md, and its curve, FILE.svg, beside the weights. */
  card: boolean;
  /**
   * The weights of an ONNX model go to FILE.data, beside the graph in FILE. Left out or false: only where one file cannot
   * hold them.
   */
  externalData?: boolean;
  /** Writes over files that are there. */
  replace?: boolean;
}

export interface ImportAsked {
  name: string;
  folders: string[];
  /** `folders`: the first folder below an imported one is an image's class. Default: as before, or `none`. */
  labels?: 'none' | 'folders' | undefined;
}

export interface PrepareAsked {
  dataset: number | string;
  /** Shorter side at most, pixels. */
  size: number;
}

export interface WeightsAsked {
  checkpoint: number;
  file: string;
  part: 'student' | 'teacher';
  replace: boolean;
}

export interface JobOptions {
  onProgress?: Progress;
  signal?: AbortSignal;
}

/** Does a job to its end. @throws AppError as the work throws; canceled; trainer-died where its process is lost */
export function runJob<K extends keyof Jobs>(kind: K, input: Jobs[K][0], options: JobOptions = {}) {
  return askProcess<Jobs, K>(workerFile('job'), [kind], kind, input, {
    ...options,
    does: 'did this',
    next: 'Do it again; if memory ran out, with a smaller model or batch.',
  });
}
