import type { Database } from 'better-sqlite3';
import { start } from './0001-start.ts';
import { window } from './0002-window.ts';
import { metricBlocks } from './0003-metric-blocks.ts';
import { retrieval } from './0004-retrieval.ts';
import { featureMaps } from './0005-feature-maps.ts';
import { finetune } from './0006-finetune.ts';
import { prepared } from './0007-prepared.ts';
import { evaluationQueue } from './0008-evaluation-queue.ts';
import { epochSteps } from './0009-epoch-steps.ts';
import { checksums } from './0010-checksums.ts';
import { preparedChecksums } from './0011-prepared-checksums.ts';
import { notices } from './0012-notices.ts';
import { featureChecksums } from './0013-feature-checksums.ts';
import { leftOut } from './0014-left-out.ts';
import { figures } from './0015-figures.ts';
import { bakeOffs } from './0016-bake-offs.ts';
import { evaluationTasks } from './0017-evaluation-tasks.ts';
import { said } from './0018-said.ts';

/** In order; the n-th brings a file from format n-1 to n. Only ever append: files in the world have run them. */
export const MIGRATIONS: readonly ((db: Database) => void)[] = [
  start,
  window,
  metricBlocks,
  retrieval,
  featureMaps,
  finetune,
  prepared,
  evaluationQueue,
  epochSteps,
  checksums,
  preparedChecksums,
  notices,
  featureChecksums,
  leftOut,
  figures,
  bakeOffs,
  evaluationTasks,
  said,
];
