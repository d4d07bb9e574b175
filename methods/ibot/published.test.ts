import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { exportWeights, importWeights } from '../../electron/services/export/weights.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { writePth } from '../../test/formats/pth-writer.ts';
import { temporaryStore, tokenError, withoutKeyBias, zeros } from '../../test/harness/published.ts';
import { laterRefusal } from '../../test/harness/refusal.ts';
import { assignmentOf, explanationOf } from '../steps.ts';
import { ours } from './config.ts';
import { published } from './published.ts';

await loadBackend();
const { store, path } = temporaryStore();
const named = (state: StateDict, name: (old: string) => string): StateDict =>
  new Map([...state].map(([old, tensor]) => [name(old), tensor]));

// What the published code wrote and gave, in PyTorch: the layout of its checkpoints is that of these files, the student's
// names with `module.` in front.
describe.each(['visible-1', 'visible-2'])('weights of the published code: %s', (fixture) => {
  const at = (name: string) => join(import.meta.dirname, 'fixture', fixture, name);
  const read = (name: string) => readSafetensors(at(`${name}.safetensors`)).tensors;
  const said = JSON.parse(readFileSync(at('fixture.json'), 'utf8'));
  const [student, teacher, centres] = [read('student.final'), read('teacher.final'), read('centers.final')];
  const settings = { 'model.num_heads': said.num_heads };
  const file = path(`${fixture}.pth`);
  const whole = { student: named(student, (name) => `module.${name}`), teacher, ibot_loss: centres };
  const encoderOf = (state: StateDict) =>
    new Map([...state].flatMap(([name, t]) => (name.startsWith('backbone.') ? [[name.slice(9), t] as const] : [])));

  test('a checkpoint gives both networks and the centres; tokens are the published ones, and each goes out as it came', async () => {
    writePth(file, { ...whole, optimizer: new Map() });
    const { checkpoint, ignored, notes } = await importWeights(store, file, { settings });
    const { layers, hidden, bottleneck, out, shared, norm_last_layer } = said.head;
    expect(checkpoint.config).toMatchObject({
      method: { name: 'ibot' },
      model: { image_size: said.image_size, patch_size: said.patch_size, depth: said.depth, position: 'absolute' },
    });
    expect(ours(checkpoint.config).head).toMatchObject({
      layers,
      hidden,
      bottleneck,
      out,
      shared,
      unit_rows: norm_last_layer,
    });
    expect({ ignored, lacks: checkpoint.lacks, notes }).toEqual({
      ignored: [],
      lacks: [],
      notes: ['Not read: optimizer.'],
    });
    const tokens = read('tokens.eval');
    expect(tokenError(store, checkpoint.id, tokens)).toBeLessThan(1e-4);
    const ofTeacherToo = { part: 'teacher', named: 'teacher_tokens' } as const;
    expect(tokenError(store, checkpoint.id, tokens, ofTeacherToo)).toBeLessThan(1e-4);
    // They are two networks.
    expect(tokenError(store, checkpoint.id, tokens, { part: 'teacher' })).toBeGreaterThan(1e-4);
    expect(await explanationOf(checkpoint, 'classes')).toHaveProperty('explain');
    const stored = store.checkpoints.load(checkpoint.id, 'student');
    for (const [name, tensor] of centres) expect(stored.get(name), name).toEqual(tensor);

    const [ofStudent, ofTeacher] = (['student', 'teacher'] as const).map((network) => {
      const written = path(`${fixture}-${network}.safetensors`);
      exportWeights(store, checkpoint.id, written, network);
      return written;
    });
    const withCentres = new Map([...student, ...named(centres, (name) => `ibot_loss.${name}`)]);
    const sorted = (state: StateDict) => Object.fromEntries(withoutKeyBias(state));
    expect(Object.fromEntries(readSafetensors(ofStudent!).tensors)).toEqual(sorted(withCentres));
    expect(Object.fromEntries(readSafetensors(ofTeacher!).tensors)).toEqual(sorted(teacher));
    const again = await importWeights(store, ofStudent!);
    expect(again.checkpoint).toMatchObject({ lacks: [], config: checkpoint.config });
    expect(store.checkpoints.load(again.checkpoint.id, 'student')).toEqual(stored);
    const alone = await importWeights(store, ofTeacher!);
    expect(alone.checkpoint.lacks).toEqual(['mask token', 'centres']);
    for (const part of ['student', 'teacher'] as const)
      expect(tokenError(store, alone.checkpoint.id, tokens, { part, named: 'teacher_tokens' })).toBeLessThan(1e-4);
  });

  test('an encoder alone, as it is distributed, is known by its names; what it lacks is said', async () => {
    const encoder = encoderOf(teacher);
    expect([...encoder.keys()]).toContain('blocks.0.attn.qkv.bias');
    writePth(file, encoder);
    const small = { ...settings, 'head.hidden': 8, 'head.out': 8 };
    const { checkpoint, ignored, notes } = await importWeights(store, file, { settings: small });
    expect(checkpoint.config.method).toEqual({ name: 'ibot' });
    expect({ ignored, lacks: checkpoint.lacks, notes }).toEqual({
      ignored: [],
      lacks: ['head', 'mask token', 'centres'],
      notes: [
        'The file has no head and no mask token and no centres: its features can be used. It cannot be asked for classes ' +
          'of patches, patches of each class.',
      ],
    });
    expect(tokenError(store, checkpoint.id, read('tokens.eval'), { named: 'teacher_tokens' })).toBeLessThan(1e-4);
    await expect(explanationOf(checkpoint, 'classes')).rejects.toMatchObject({ message: /no classes of patches/ });
    await expect(assignmentOf(checkpoint, 'members')).rejects.toMatchObject({ kind: 'bad-input' });
    // The student's has the token of masked patches.
    writePth(file, { state_dict: encoderOf(student) });
    const ofStudent = await importWeights(store, file, { settings: small });
    expect(ofStudent.checkpoint.lacks).toEqual(['head', 'centres']);
  });

  test('a tensor that is missing is named, of whichever network', async () => {
    const without = (state: StateDict, name: string) => new Map([...state].filter(([one]) => !one.endsWith(name)));
    for (const [network, name, here] of [
      ['student', 'backbone.blocks.1.norm2.bias', 'blocks.1.norm2.bias'],
      ['student', 'head.mlp.4.bias', 'head.mlp.4.bias'],
      ['teacher', 'backbone.blocks.0.mlp.fc1.weight', 'blocks.0.mlp.fc1.weight'],
      ['teacher', 'head.last_layer.weight_v', 'head.last_layer.weight_v'],
    ] as const) {
      writePth(file, { ...whole, [network]: without(whole[network], name) });
      const error = await laterRefusal(() => importWeights(store, file, { settings }));
      expect(error.message).toContain(`"${here}"`);
    }
  });

  test('last layers of their own for CLS and patches are kept apart', async () => {
    const apart = (state: StateDict) =>
      new Map(
        [...state].map(([name, { shape, data }]) => [
          name,
          { shape, data: name.endsWith('last_layer2.weight_v') ? data.map((v) => -v) : data },
        ]),
      );
    writePth(file, { ...whole, student: apart(whole.student) });
    const { checkpoint, ignored } = await importWeights(store, file, { settings });
    expect(ignored).toEqual([]);
    expect(ours(checkpoint.config).head.shared).toBe(false);
    const layer = 'head.last_layer2.weight_v';
    const [ofStudent, ofTeacher] = (['student', 'teacher'] as const).map(
      (part) => store.checkpoints.load(checkpoint.id, part).get(layer)!.data,
    );
    expect(ofStudent).toEqual(student.get(layer)!.data.map((v) => -v));
    expect(ofTeacher).toEqual(teacher.get(layer)!.data);
    const out = path(`${fixture}-apart.safetensors`);
    exportWeights(store, checkpoint.id, out, 'student');
    expect(readSafetensors(out).tensors.get(layer)!.data).toEqual(ofStudent);
  });
});

test('a Swin Transformer is refused as what it is', async () => {
  const file = path('swin.safetensors');
  writeSafetensors(
    file,
    new Map([
      ['masked_embed', zeros(1, 96)],
      ['patch_embed.proj.weight', zeros(96, 3, 4, 4)],
      ['layers.0.blocks.0.attn.qkv.bias', zeros(288)],
    ]),
  );
  expect(await laterRefusal(() => importWeights(store, file))).toMatchObject({
    kind: 'bad-file',
    message: 'These weights are of a Swin Transformer.',
  });
});

test('a file of DINO, which has neither token nor centres of patches, is not taken for one', () => {
  const dino: StateDict = new Map([
    ['student.module.backbone.cls_token', zeros(1, 1, 8)],
    ['student.module.head.last_layer.weight_v', zeros(4, 2)],
    ['teacher.backbone.cls_token', zeros(1, 1, 8)],
    ['teacher.head.last_layer.weight_v', zeros(4, 2)],
  ]);
  expect(published.recognise(dino)).toBeNull();
});
