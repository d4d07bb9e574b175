import { fromPlain, prefixed, toPlain, unprefixed } from '../../electron/engine/names.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';

const BACKBONE = 'backbone.';
const MASKED = 'masked_embed';
const CENTRES: ReadonlySet<string> = new Set(['center', 'center2']);

/** What a network is called here, of the published code's state of one: `masked_embed` is `[1, dim]` there. */
export const fromPublished = (state: StateDict): StateDict =>
  new Map(
    [...fromPlain(unprefixed(state, BACKBONE))].map(([name, { shape, data }]) =>
      name === MASKED ? ['mask_token', { shape: [1, ...shape], data }] : [name, { shape, data }],
    ),
  );

/** The way back. */
export function toPublished(state: StateDict): StateDict {
  const plain = new Map(
    [...toPlain(state)].map(([name, { shape, data }]): [string, HostTensor] =>
      name === 'mask_token' ? [MASKED, { shape: shape.slice(1), data }] : [name, { shape, data }],
    ),
  );
  return prefixed(plain, BACKBONE, (name) => !name.startsWith('head.'));
}

const LAST = /^head\.last_layer\./;
const OF_PATCHES = /^head\.last_layer2\./;
const ofPatches = (name: string) => name.replace(LAST, 'head.last_layer2.');

/** A last layer that CLS and patches share stands in published files under both names. */
export function withBothLastLayers(state: StateDict): StateDict {
  if ([...state.keys()].some((name) => OF_PATCHES.test(name))) return state;
  const again = [...state]
    .filter(([name]) => LAST.test(name))
    .map(([name, tensor]) => [ofPatches(name), tensor] as const);
  return new Map([...state, ...again]);
}

/** Whether a state of a file has one last layer, under both names. */
export function sharesLastLayer(state: StateDict): boolean {
  const last = [...state].filter(([name]) => LAST.test(name));
  return last.every(([name, { data }]) => {
    const other = state.get(ofPatches(name));
    return other === undefined || (other.data.length === data.length && other.data.every((v, i) => v === data[i]));
  });
}

/** Without the second name of that layer. */
export const withOneLastLayer = (state: StateDict): StateDict =>
  new Map([...state].filter(([name]) => !OF_PATCHES.test(name)));

/** Centres of the teacher's logits, which the loss keeps in the published code, and the student's network here. */
export const centresOf = (state: StateDict): StateDict => new Map([...state].filter(([name]) => CENTRES.has(name)));

export const withoutCentres = (state: StateDict): StateDict =>
  new Map([...state].filter(([name]) => !CENTRES.has(name)));
