import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import type { AlikeView, Input } from '../../../shared/contract/index.ts';
import { writeWhole } from '../../files/files.ts';
import { specOf } from './folders.ts';
import type { AlikeQuery, PatchIndexes } from './patch-index.ts';

/** A window's question for images like one. @throws AppError as `PatchIndexes.alike` */
export async function alike(indexes: PatchIndexes, input: Input<'alike.search'>): Promise<AlikeView> {
  const { of, k, label, folder, duplicates } = input;
  const ask = (query: AlikeQuery['of']) =>
    indexes.alike({ spec: specOf(input), of: query, k, label, folder, duplicates });
  return 'image' in of ? ask(of) : withFile(of.name, Buffer.from(of.bytes, 'base64'), ask);
}

/** Lends the content of a file to `act` as a file, for decoders read files; its ending says which decoder. */
async function withFile<T>(
  name: string,
  content: Buffer,
  act: (query: { file: string; hash: string }) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'image-query-'));
  try {
    const ending = /^\.[a-z0-9]{1,5}$/i.exec(extname(name))?.[0] ?? '';
    const file = join(folder, `query${ending}`);
    writeWhole(file, [content]);
    return await act({ file, hash: createHash('sha256').update(content).digest('hex') });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
