import type { HostTensor, StateDict } from '../../shared/tensors.ts';

/**
 * A plain ViT has one bias for queries, keys and values; this engine, as BEiT, none for keys. It adds the same to all
 * logits of a query, and so does nothing: it is left out when a file is read, and zero when one is written.
 */
const PLAIN = /^(.*\.attn\.)qkv\.bias$/;

/** A state under a plain ViT's names (timm, MAE) as this engine has it. */
export function fromPlain(state: StateDict): StateDict {
  return new Map(
    [...state].flatMap(([name, tensor]): [string, HostTensor][] => {
      const at = PLAIN.exec(name)?.[1];
      if (at === undefined) return [[name, tensor]];
      const dim = tensor.data.length / 3;
      const third = (i: number) => ({ shape: [dim], data: tensor.data.slice(i * dim, (i + 1) * dim) });
      return [
        [`${at}q_bias`, third(0)],
        [`${at}v_bias`, third(2)],
      ];
    }),
  );
}

/** The way back: a state of this engine under a plain ViT's names. */
export function toPlain(state: StateDict): StateDict {
  const out: StateDict = new Map();
  for (const [name, tensor] of state) {
    const at = /^(.*\.attn\.)([qv])_bias$/.exec(name);
    if (!at) {
      out.set(name, tensor);
      continue;
    }
    const dim = tensor.data.length;
    const bias = out.get(`${at[1]}qkv.bias`) ?? { shape: [3 * dim], data: new Float32Array(3 * dim) };
    bias.data.set(tensor.data, at[2] === 'q' ? 0 : 2 * dim);
    out.set(`${at[1]}qkv.bias`, bias);
  }
  return out;
}

/** The tensors of a state whose names have a prefix, without it. */
export const under = (state: StateDict, prefix: string): StateDict =>
  unprefixed(new Map([...state].filter(([name]) => name.startsWith(prefix))), prefix);

/** A state without a prefix of names, where they have it. */
export const unprefixed = (state: StateDict, prefix: string): StateDict =>
  new Map([...state].map(([name, tensor]) => [name.startsWith(prefix) ? name.slice(prefix.length) : name, tensor]));

/** The way back: names that `is` picks get the prefix. */
export const prefixed = (state: StateDict, prefix: string, is: (name: string) => boolean): StateDict =>
  new Map([...state].map(([name, tensor]) => [is(name) ? prefix + name : name, tensor]));
