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
export function madeBy(task: Task): Made | null {
  if (task.status !== 'done' || (task.kind !== 'embeddings' && task.kind !== 'health')) return null;
  const { file } = task.result;
  const table = task.kind === 'embeddings' ? task.result : null;
  const name = file.split(/[\\/]/).at(-1) ?? file;
  return {
    task: task.id,
    path: file,
    name,
    bytes: table?.bytes ?? null,
    shape: table ? `${table.rows} × ${table.width}` : '',
    python: READ[name.split('.').at(-1) ?? '']?.(file) ?? null,
  };
}
