import { closeSync, openSync, writeSync } from 'node:fs';
import type { SchemaElement } from 'hyparquet';
import { fileWriter, ParquetWriter } from 'hyparquet-writer';
import type { EmbeddingFormat } from '../../../shared/contract/export.ts';
import { csvLine } from '../../../shared/csv.ts';
import { writeAll } from '../../files/files.ts';

/** The image, or patch of an image, that a row describes. */
export interface RowOf {
  image: number;
  /** In its folder. */
  path: string;
  label: string | null;
  /** Number of the patch, from 1; null where the row describes a whole image. */
  row: number | null;
  column: number | null;
}

/** Takes embeddings row by row. */
export interface EmbeddingWriter {
  /** @param values `[rows, width]`, row-major */
  write(rows: readonly RowOf[], values: Float32Array): void;
  /** Completes the file. @returns files beside it, as `write` was given their paths */
  close(): string[];
  /** Closes the file before it is complete. */
  abandon(): void;
}

/** Files that are written with one of this name. */
export const besideEmbeddings = (file: string, format: EmbeddingFormat): string[] =>
  format === 'npy' ? [`${file.replace(/\.npy$/i, '')}.index.csv`] : [];

/** What the columns before the values are called. */
const headerOf = (ofPatches: boolean) => ['image', 'path', 'label', ...(ofPatches ? ['row', 'column'] : [])];
const cellsOf = ({ image, path, label, row, column }: RowOf, ofPatches: boolean) => [
  image,
  path,
  label,
  ...(ofPatches ? [row, column] : []),
];

/** Values with the nine digits that a float32 needs to be read back to the last bit. */
function csvWriter(file: string, width: number, ofPatches: boolean): EmbeddingWriter {
  const fd = openSync(file, 'w');
  const text = (line: string) => writeAll(fd, Buffer.from(line));
  text(csvLine([...headerOf(ofPatches), ...Array.from({ length: width }, (_, d) => `f${d}`)]));
  return {
    write(rows, values) {
      const lines = rows.map((row, i) => {
        const own = values.subarray(i * width, (i + 1) * width);
        return csvLine([...cellsOf(row, ofPatches), ...Array.from(own, (v) => Number(v.toPrecision(9)))]);
      });
      text(lines.join(''));
    },
    close() {
      closeSync(fd);
      return [];
    },
    abandon: () => closeSync(fd),
  };
}

const NPY_HEADER = 128;

/** NumPy's format, version 1.0 (numpy.lib.format): float32, C order. The header has room for any number of rows. */
function npyHeader(rows: number, width: number): Buffer {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${width}), }`;
  const header = Buffer.alloc(NPY_HEADER, ' ');
  header.write('\x93NUMPY\x01\x00', 0, 'latin1');
  header.writeUInt16LE(NPY_HEADER - 10, 8);
  header.write(text, 10, 'latin1');
  header.write('\n', NPY_HEADER - 1, 'latin1');
  return header;
}

/** Values alone; whose they are stands in a CSV beside. */
function npyWriter(file: string, width: number, ofPatches: boolean): EmbeddingWriter {
  const fd = openSync(file, 'w');
  const [beside] = besideEmbeddings(file, 'npy') as [string];
  const index = openSync(beside, 'w');
  let count = 0;
  writeAll(fd, npyHeader(0, width));
  writeAll(index, Buffer.from(csvLine(headerOf(ofPatches))));
  const end = () => {
    closeSync(fd);
    closeSync(index);
  };
  return {
    write(rows, values) {
      count += rows.length;
      writeAll(fd, new Uint8Array(values.buffer, values.byteOffset, rows.length * width * 4));
      writeAll(index, Buffer.from(rows.map((row) => csvLine(cellsOf(row, ofPatches))).join('')));
    },
    close() {
      writeSync(fd, npyHeader(count, width), 0, NPY_HEADER, 0);
      end();
      return [beside];
    },
    abandon: end,
  };
}

/** Rows of a group: a reader takes a group at a time. */
const GROUP = 4096;

/** Apache Parquet: a row for each embedding; its values are one column, of lists. */
function parquetWriter(file: string, width: number, ofPatches: boolean): EmbeddingWriter {
  const leaf = (name: string, rest: Partial<SchemaElement>): SchemaElement => ({
    name,
    repetition_type: 'REQUIRED',
    ...rest,
  });
  const schema: SchemaElement[] = [
    { name: 'root', num_children: ofPatches ? 6 : 4 },
    leaf('image', { type: 'INT32' }),
    leaf('path', { type: 'BYTE_ARRAY', converted_type: 'UTF8' }),
    leaf('label', { type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' }),
    ...(ofPatches ? [leaf('row', { type: 'INT32' }), leaf('column', { type: 'INT32' })] : []),
    leaf('embedding', { converted_type: 'LIST', num_children: 1 }),
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    leaf('element', { type: 'FLOAT' }),
  ];
  const kvMetadata = [{ key: 'conmim.width', value: String(width) }];
  const writer = new ParquetWriter({ writer: fileWriter(file), schema, kvMetadata, createdBy: 'ConMIM Workbench' });
  let waiting: { row: RowOf; values: number[] }[] = [];
  const flush = () => {
    if (waiting.length === 0) return;
    const names = headerOf(ofPatches) as (keyof RowOf)[];
    writer.write({
      columnData: [
        ...names.map((name) => ({ name, data: waiting.map(({ row }) => row[name]) })),
        { name: 'embedding', data: waiting.map(({ values }) => values) },
      ],
      rowGroupSize: GROUP,
    });
    waiting = [];
  };
  return {
    write(rows, values) {
      rows.forEach((row, i) => {
        waiting.push({ row, values: Array.from(values.subarray(i * width, (i + 1) * width)) });
        if (waiting.length === GROUP) flush();
      });
    },
    close() {
      flush();
      writer.finish();
      return [];
    },
    abandon: () => {}, // it opens its file for each piece
  };
}

const WRITERS = { csv: csvWriter, npy: npyWriter, parquet: parquetWriter };

/**
 * What a process left in this file that was ended while it wrote is written over.
 * @param ofPatches whether rows have a place in the grid
 */
export const embeddingWriter = (
  format: EmbeddingFormat,
  file: string,
  width: number,
  ofPatches: boolean,
): EmbeddingWriter => WRITERS[format](file, width, ofPatches);
