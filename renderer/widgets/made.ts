import type { Task } from '../../shared/contract/tasks.ts';

/** A file that a task has written: where it is, what is in it, and how Python reads it. */
export interface Made {
  task: string;
  path: string;
  name: string;
  /** `302 × 128`; empty where there is nothing to count. */
  shape: string;
  bytes: number | null;
  python: string | null;
}

/** Names as Python writes them: with the escapes of JSON, which it reads too. */
const quoted = (path: string) => JSON.stringify(path);
const READ: Record<string, (path: string) => string> = {
  parquet: (path) => `import pandas as pd\n\ndf = pd.read_parquet(${quoted(path)})`,
  csv: (path) => `import pandas as pd\n\ndf = pd.read_csv(${quoted(path)})`,
  npy: (path) => `import numpy as np\n\nfeatures = np.load(${quoted(path)})`,
};

/** What a task has made; null where it has ended without a file, or has not ended. */
export function madeBy({ id, kind, status, result }: Task): Made | null {
  if (status !== 'done' || (kind !== 'embeddings' && kind !== 'health')) return null;
  const { file, rows, width, bytes } = (result ?? {}) as {
    file?: unknown;
    rows?: number;
    width?: number;
    bytes?: number;
  };
  if (typeof file !== 'string') return null;
  const name = file.split(/[\\/]/).at(-1) ?? file;
  return {
    ...{ task: id, path: file, name, bytes: bytes ?? null },
    shape: rows !== undefined && width !== undefined ? `${rows} × ${width}` : '',
    python: READ[name.split('.').at(-1) ?? '']?.(file) ?? null,
  };
}
