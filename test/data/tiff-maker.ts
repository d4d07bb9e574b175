/** Uncompressed TIFFs with any tags, made from what the standard says and not by the reader's code. */
export interface MadePage {
  width: number;
  height: number;
  /** Value of a band at a pixel. */
  value: (band: number, x: number, y: number) => number;
  bands: number;
  bits?: 8 | 16 | 32 | 64;
  /** 1 unsigned, 2 signed, 3 floating. */
  format?: number;
  photometric?: number;
  extra?: number[];
  separate?: boolean;
  subfile?: number;
  orientation?: number;
  /** Further tags, of shorts. */
  tags?: [number, number[]][];
}

export function tiffOf(pages: MadePage[], { little = true } = {}): Buffer {
  const head = Buffer.alloc(8);
  head.write(little ? 'II*\0' : 'MM\0*', 'latin1');
  const u32 = (b: Buffer, v: number, at: number) => (little ? b.writeUInt32LE(v, at) : b.writeUInt32BE(v, at));
  const u16 = (b: Buffer, v: number, at: number) => (little ? b.writeUInt16LE(v, at) : b.writeUInt16BE(v, at));
  const parts: Buffer[] = [head];
  let length = 8;
  const add = (part: Buffer) => {
    parts.push(part.length % 2 ? Buffer.concat([part, Buffer.alloc(1)]) : part);
    const at = length;
    length += parts.at(-1)!.length;
    return at;
  };
  let link: [Buffer, number] = [head, 4];
  for (const page of pages) {
    const { width, height, bands, bits = 8, format = 1, separate = false } = page;
    const planes = Array.from({ length: separate ? bands : 1 }, (_, plane) =>
      samples(page, separate ? plane : null, little),
    );
    const strips = planes.map(add);
    const shorts = (values: number[]) => {
      const b = Buffer.alloc(2 * values.length);
      for (const [i, v] of values.entries()) u16(b, v, 2 * i);
      return b;
    };
    const longs = (values: number[]) => {
      const b = Buffer.alloc(4 * values.length);
      for (const [i, v] of values.entries()) u32(b, v, 4 * i);
      return b;
    };
    const entries: [number, 3 | 4, Buffer][] = [
      ...(page.subfile === undefined ? [] : [[254, 4, longs([page.subfile])] as [number, 4, Buffer]]),
      [256, 4, longs([width])],
      [257, 4, longs([height])],
      [258, 3, shorts(Array.from({ length: bands }, () => bits))],
      [259, 3, shorts([1])],
      [262, 3, shorts([page.photometric ?? (bands >= 3 ? 2 : 1)])],
      [273, 4, longs(strips)],
      ...(page.orientation === undefined ? [] : [[274, 3, shorts([page.orientation])] as [number, 3, Buffer]]),
      [277, 3, shorts([bands])],
      [278, 4, longs([height])],
      [279, 4, longs(planes.map((p) => p.length))],
      [284, 3, shorts([separate ? 2 : 1])],
      ...(page.extra ? [[338, 3, shorts(page.extra)] as [number, 3, Buffer]] : []),
      [339, 3, shorts(Array.from({ length: bands }, () => format))],
      ...(page.tags ?? []).map(([tag, values]) => [tag, 3, shorts(values)] as [number, 3, Buffer]),
    ];
    entries.sort((a, b) => a[0] - b[0]);
    const far = entries.map(([, , data]) => (data.length > 4 ? add(data) : 0));
    const directory = Buffer.alloc(2 + 12 * entries.length + 4);
    u16(directory, entries.length, 0);
    entries.forEach(([tag, type, data], i) => {
      const at = 2 + 12 * i;
      u16(directory, tag, at);
      u16(directory, type, at + 2);
      u32(directory, data.length / (type === 3 ? 2 : 4), at + 4);
      if (data.length > 4) u32(directory, far[i]!, at + 8);
      else data.copy(directory, at + 8);
    });
    u32(link[0], add(directory), link[1]);
    link = [directory, directory.length - 4];
  }
  return Buffer.concat(parts);
}

function samples(
  { width, height, bands, value, bits = 8, format = 1 }: MadePage,
  plane: number | null,
  little: boolean,
) {
  const of = plane === null ? Array.from({ length: bands }, (_, b) => b) : [plane];
  const out = Buffer.alloc((width * height * of.length * bits) / 8);
  const view = new DataView(out.buffer, out.byteOffset, out.length);
  let at = 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (const b of of) {
        const v = value(b, x, y);
        if (format === 3) bits === 32 ? view.setFloat32(at, v, little) : view.setFloat64(at, v, little);
        else if (bits === 8) format === 2 ? view.setInt8(at, v) : view.setUint8(at, v);
        else if (bits === 16) format === 2 ? view.setInt16(at, v, little) : view.setUint16(at, v, little);
        else view.setUint32(at, v, little);
        at += bits / 8;
      }
  return out;
}
