import type { Context, Handlers } from '../context.ts';
import { bakeOffHandlers } from './bakeoff.ts';
import { checkpointHandlers } from './checkpoints.ts';
import { datasetHandlers } from './datasets.ts';
import { evaluationHandlers } from './evaluation.ts';
import { exploreHandlers } from './explore.ts';
import { exportHandlers } from './export.ts';
import { machineHandlers } from './machine.ts';
import { recipeHandlers } from './recipes.ts';
import { retrievalHandlers } from './retrieval.ts';
import { runHandlers } from './runs.ts';
import { taskHandlers } from './tasks.ts';
import { windowHandlers } from './window.ts';

/** What each channel does; the work itself is the services'. */
export function handlers(context: Context): Handlers {
  return {
    ...windowHandlers(context),
    ...datasetHandlers(context),
    ...recipeHandlers(context),
    ...runHandlers(context),
    ...checkpointHandlers(context),
    ...exploreHandlers(context),
    ...retrievalHandlers(context),
    ...evaluationHandlers(context),
    ...bakeOffHandlers(context),
    ...exportHandlers(context),
    ...machineHandlers(context),
    ...taskHandlers(context),
  };
}
