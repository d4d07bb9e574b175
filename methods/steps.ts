import type { Assign, Explain } from '../electron/engine/explanation.ts';
import type { Method, TrainerConfig } from '../electron/engine/trainer.ts';
import type { Checkpoint } from '../shared/checkpoint.ts';
import type { RunConfig } from '../shared/config.ts';
import { AppError } from '../shared/errors.ts';
import type { Explanation, ExplanationAnswer, GroupsAnswer } from '../shared/method.ts';
import type { Uniform } from '../shared/random.ts';
import { METHODS, methodOf, requireWhole } from './index.ts';
import { loadOf } from './load.ts';

/** A micro-batch as the loader gives it to a method: views by name, `[batch, side, side, 3]`, and what is hidden. */
export interface MethodBatch {
  views: Record<string, Float32Array>;
  /** `[batch, K]` for each view that is masked, one after the other; 1 = hidden. Empty where the method hides nothing. */
  mask: Float32Array;
  /** From 0. */
  epoch?: number;
  /** `[batch]`, which image each is. */
  imageIds?: Int32Array;
  /** Steps that were done before. */
  step?: number;
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

/** @throws as `explanationOf` */
function explanationNamed(checkpoint: Pick<Checkpoint, 'config' | 'lacks'>, key: string, of: 'answer' | 'groups') {
  const { name, title, explains } = methodOf(checkpoint.config);
  const found = explains.find((one) => one.key === key);
  if (found?.[of]) {
    requireWhole(checkpoint, found.title.toLowerCase());
    return { name, found: found as Explanation };
  }
  const has = explains.map((one) => one.title.toLowerCase()).join(', ');
  throw new AppError(
    'bad-input',
    `${title} cannot be asked for "${key}" of ${of === 'answer' ? 'an image' : 'many images'}.`,
    has ? `It has: ${has}.` : 'It has no explanation of its own.',
    'Ask for what every method has: attention, colours, a map, patches like this.',
  );
}

/**
 * @throws AppError bad-input for a method that has no such explanation, or another way to ask for it; for weights of a file
 *   that lacked part of the network
 */
export async function explanationOf(
  checkpoint: Pick<Checkpoint, 'config' | 'lacks'>,
  key: string,
): Promise<{ explain: Explain<RunConfig>; answer: ExplanationAnswer }> {
  const { name, found } = explanationNamed(checkpoint, key, 'answer');
  const { explain } = await loadOf<{ explain: Record<string, Explain<RunConfig>> }>(name, 'explain');
  return { explain: explain[key]!, answer: found.answer! };
}

/** What a method sorts many images into. @throws as `explanationOf` */
export async function assignmentOf(
  checkpoint: Pick<Checkpoint, 'config' | 'lacks'>,
  key: string,
): Promise<{ assign: Assign<RunConfig>; groups: GroupsAnswer }> {
  const { name, found } = explanationNamed(checkpoint, key, 'groups');
  const { assign } = await loadOf<{ assign: Record<string, Assign<RunConfig>> }>(name, 'explain');
  return { assign: assign[key]!, groups: found.groups! };
}
