import { z } from 'zod';
import { channelsLast, type OwnReplay, type Replay, train } from '../../electron/engine/replay.ts';
import {
  dropPathOf,
  modelOf,
  optimizerOf,
  shapeOf,
  studentSchema,
  tokenizerSchema,
  withTokenizer,
} from '../beit/replay.ts';
import type { DVAEShape } from '../tokenizer/shape.ts';
import { dvaeSpecs } from '../tokenizer/specs.ts';
import { type McBEiTBatch, type McBEiTConfig, step } from './step.ts';

const fixtureSchema = studentSchema.extend({
  vocab: z.number().int(),
  temperature: z.number().positive(),
  omega: z.number(),
  similarity_temperature: z.number().positive(),
  tokenizer: tokenizerSchema.nullable(),
});

/** A tokenizer that is never asked, for logits that are given. */
const none = (codes: number): DVAEShape => ({ kind: 'dvae', image_size: 1, layers: 0, hidden: 1, width: 1, codes });

const student = (isGiven: boolean): Replay<McBEiTConfig, McBEiTBatch> => ({
  method: step,
  read(said) {
    const { tokenizer, vocab, temperature, omega, similarity_temperature, ...rest } = fixtureSchema.parse(said);
    return {
      config: {
        model: modelOf(rest),
        tokenizer: tokenizer ? shapeOf(tokenizer) : none(vocab),
        targets: { temperature, omega, similarity_temperature, through_similarity: true },
        optimizer: optimizerOf(rest),
      },
      rates: rest.steps.map(({ lr, weight_decay }) => ({ lr, weight_decay, momentum: 0 })),
    };
  },
  networks: { student: 'student' },
  batch: (part) => ({
    views: {
      image: channelsLast(part('student_input')),
      tokenizer: isGiven ? new Float32Array() : channelsLast(part('tokenizer_input')),
    },
    mask: Float32Array.from(part('mask').data),
    dropPath: dropPathOf(part('drop_path')),
    ...(isGiven && { logits: channelsLast(part('tokenizer_logits')) }),
  }),
  input: 'student_input',
  result: ({ loss, grad_norm, figures }) => ({ loss, mlm_acc: figures.accuracy!, grad_norm_before_clip: grad_norm }),
});

export const replay = (): OwnReplay => (folder, said) => {
  const { tokenizer, vocab } = fixtureSchema.parse(said);
  const isGiven = tokenizer === null || !folder.has('tokenizer.init');
  const state = isGiven ? stateOfNone(tokenizer ? shapeOf(tokenizer) : none(vocab)) : folder.load('tokenizer.init');
  return train(student(isGiven), withTokenizer(folder, 'student', state), said);
};

/** Zeros. */
function stateOfNone(shape: DVAEShape) {
  return new Map(
    dvaeSpecs(shape).map(({ name, shape: of }) => [
      name,
      { shape: of, data: new Float32Array(of.reduce((a, b) => a * b, 1)) },
    ]),
  );
}
