import type { Explain } from '../electron/engine/explanation.ts';
import type { Method, TrainerConfig } from '../electron/engine/trainer.ts';
import type { Checkpoint } from '../shared/checkpoint.ts';
import type { RunConfig } from '../shared/config.ts';
import { AppError } from '../shared/errors.ts';
import type { ExplanationAnswer } from '../shared/method.ts';
import type { Uniform } from '../shared/random.ts';
import { METHODS, methodOf, requireWhole } from './index.ts';
import { loadOf } from './load.ts';

/** A micro-batch as the loader gives it to a method: views by name, `[batch, side, side, 3]`, and what is hidden. */
export interface MethodBatch {
  views: Record<string, Float32Array>;
  /** `[batch, K]`, 1 = hidden; empty where the method hides nothing. */
  mask: Float32Array;
  /** `[batch]`, which image each is. */
  imageIds?: Int32Array;
  /** How far the run is, 0 to 1: steps done of all. */
  progress?: number;
  /** What is drawn in this step for this micro-batch, under a purpose: the same when it is repeated. */
  random?: (purpose: string) => Uniform;
}
/** What every method's step is to the house: it takes a complete configuration of its own. */
export type AnyStep = Method<RunConfig & TrainerConfig, MethodBatch>;

const STEPS = new Map(
  await Promise.all(
    METHODS.map(async ({ name }) => [name, (await loadOf<{ step: AnyStep }>(name, 'step')).step] as const),
  ),
);

/** The step of a configuration's method. */
export const stepOf = (config: RunConfig): AnyStep => STEPS.get(methodOf(config).name)!;

/**
 * @throws AppError bad-input for a method that has no such explanation, or another way to ask for it; for weights of a file
 *   that lacked part of the network
 */
export async function explanationOf(
  checkpoint: Pick<Checkpoint, 'config' | 'lacks'>,
  key: string,
): Promise<{ explain: Explain<RunConfig>; answer: ExplanationAnswer }> {
  const { name, title, explains } = methodOf(checkpoint.config);
  const found = explains.find((one) => one.key === key);
  const answer = found?.answer;
  if (answer) {
    requireWhole(checkpoint, found.title.toLowerCase());
    const { explain } = await loadOf<{ explain: Record<string, Explain<RunConfig>> }>(name, 'explain');
    return { explain: explain[key]!, answer };
  }
  const has = explains.map((one) => one.title.toLowerCase()).join(', ');
  throw new AppError(
    'bad-input',
    `${title} cannot be asked for "${key}" of an image.`,
    has ? `It has: ${has}.` : 'It has no explanation of its own.',
    'Ask for what every method has: attention, colours, a map, patches like this.',
  );
}
