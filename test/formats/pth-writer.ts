import { writeFileSync } from 'node:fs';
import type { StateDict } from '../../shared/tensors.ts';
import { storedZip } from './stored-zip-writer.ts';

// Opcodes, as pickletools.py names them.
export const MARK = '(';
export const STOP = '.';
export const str = (text: string) => `X${u32(text.length)}${text}`;
export const int = (n: number) => `J${u32(n)}`;
export const u32 = (n: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(n | 0);
  return bytes.toString('latin1');
};
export const tuple = (...items: string[]) => `${MARK}${items.join('')}t`;
export const dict = (items: Record<string, string>) =>
  `}${MARK}${Object.entries(items)
    .map(([k, v]) => str(k) + v)
    .join('')}u`;
export const call = (global: string, ...args: string[]) => `c${global.replace(' ', '\n')}\n${tuple(...args)}R`;
export const storage = (type: string, key: string, count: number) =>
  `${tuple(str('storage'), `ctorch\n${type}\n`, str(key), str('cpu'), int(count))}Q`;
export const ordered = 'ccollections\nOrderedDict\n)R';
export const tensor = (store: string, offset: number, shape: number[], strides: number[]) =>
  call(
    'torch._utils _rebuild_tensor_v2',
    store,
    int(offset),
    tuple(...shape.map(int)),
    tuple(...strides.map(int)),
    '\x89',
    ordered,
  );

/** Writes a file as torch.save does: a dict of dicts of tensors, or of tensors alone. */
export function writePth(path: string, content: Record<string, StateDict> | StateDict): void {
  const data: Record<string, Buffer> = {};
  const written = (state: StateDict) =>
    dict(
      Object.fromEntries(
        [...state].map(([name, { shape, data: values }]) => {
          const key = String(Object.keys(data).length);
          data[`a/data/${key}`] = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
          const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
          return [name, tensor(storage('FloatStorage', key, values.length), 0, shape, strides)];
        }),
      ),
    );
  const root =
    content instanceof Map
      ? written(content)
      : dict(Object.fromEntries(Object.entries(content).map(([key, state]) => [key, written(state)])));
  const pickle = Buffer.from(`\x80\x02${root}${STOP}`, 'latin1');
  writeFileSync(path, storedZip({ 'a/data.pkl': pickle, 'a/byteorder': Buffer.from('little'), ...data }));
}
