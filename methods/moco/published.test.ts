import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { withoutKeyBias } from '../../test/harness/published.ts';
import { published } from './published.ts';

const load = (fixture: string, file: string) =>
  readSafetensors(join(import.meta.dirname, 'fixture', fixture, `${file}.safetensors`)).tensors;
const under = (prefix: string, state: StateDict): StateDict =>
  new Map([...state].map(([name, tensor]) => [prefix + name, tensor]));

test('a published file is known, its sizes are read, and each network is written as it was', () => {
  const [student, teacher] = [
    under('base_encoder.', load('visible-2', 'base_encoder.init')),
    under('momentum_encoder.', load('visible-2', 'momentum_encoder.init')),
  ];
  const predictor = under('predictor.', load('visible-2', 'predictor.init'));
  const file = new Map([...student, ...teacher, ...predictor]);
  expect(published.recognise(file)).toBe('method');
  const read = published.read(file);
  expect(published.sizes(read.student).config).toMatchObject({
    model: { image_size: 32, patch_size: 8, embed_dim: 24, depth: 3, position: 'fixed-sincos', layer_scale_init: 0 },
    head: { layers: 3, hidden: 32, out: 16 },
    predictor: { layers: 2, hidden: 32 },
  });
  const written = published.write(read.student, 'student');
  expect(new Map([...written].sort())).toEqual(withoutKeyBias(new Map([...student, ...predictor].sort())));
  const ofTeacher = published.write(read.teacher!, 'teacher');
  for (const [name, tensor] of withoutKeyBias(teacher)) expect(ofTeacher.get(name), name).toEqual(tensor);
});

test('an encoder alone is known by its positions, the row first, and a file of one network is read as it', () => {
  const encoder = new Map([...load('visible-2', 'base_encoder.init')].filter(([name]) => !name.startsWith('head.')));
  expect(published.recognise(encoder)).toBe('encoder');
  expect(published.recognise(new Map())).toBeNull();
  const alone = published.read(under('momentum_encoder.', encoder));
  expect(alone.teacher).toBeUndefined();
  expect(alone.student.get('norm.weight')).toEqual(encoder.get('norm.weight'));
  const ofQueue: StateDict = new Map();
  for (const name of ['fc.0.weight', 'queue_ptr']) ofQueue.set(name, encoder.get('norm.weight')!);
  const queue = published.write(ofQueue, 'student');
  expect([...queue.keys()]).toEqual(['encoder_q.fc.0.weight', 'queue_ptr']);
});
