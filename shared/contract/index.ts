import type { z } from 'zod';
import type { ErrorReport } from '../errors.ts';
import { BAKE_OFFS } from './bakeoff.ts';
import { CHECKPOINTS } from './checkpoints.ts';
import { DATASETS } from './datasets.ts';
import { EVALUATION } from './evaluation.ts';
import { EXPLORE } from './explore.ts';
import { EXPORT } from './export.ts';
import { MACHINE } from './machine.ts';
import { RECIPES } from './recipes.ts';
import { RETRIEVAL } from './retrieval.ts';
import { RUNS } from './runs.ts';
import { TASKS } from './tasks.ts';
import { WINDOW } from './window.ts';

export type * from './bakeoff.ts';
export type * from './checkpoints.ts';
export type * from './datasets.ts';
export type * from './evaluation.ts';
export type * from './events.ts';
export type * from './explore.ts';
export type * from './export.ts';
export type * from './machine.ts';
export type * from './recipes.ts';
export type * from './retrieval.ts';
export type * from './runs.ts';
export type * from './started.ts';
export type * from './tasks.ts';
export type * from './window.ts';

/**
 * The contract between a window and the process behind it: every channel with what it takes (validated once, where it
 * arrives) and what it gives, and every event, in a file for each concern. Both sides are typed from here. Every channel
 * takes one object. Times are milliseconds since 1970, sizes bytes.
 */
export const CHANNELS = {
  ...WINDOW,
  ...DATASETS,
  ...RECIPES,
  ...RUNS,
  ...CHECKPOINTS,
  ...EXPLORE,
  ...RETRIEVAL,
  ...EVALUATION,
  ...BAKE_OFFS,
  ...EXPORT,
  ...MACHINE,
  ...TASKS,
} as const;

export type Channel = keyof typeof CHANNELS;

/**
 * Channels that only read. While the connection is lost a window keeps such requests and sends them later. All others
 * change something, and are refused then: nobody wants a button pressed minutes ago to take effect.
 */
export const ASKS: ReadonlySet<string> = new Set([
  ...['app.info', 'folders.list', 'tasks.list', 'datasets.list', 'datasets.get', 'images.page', 'images.get'],
  ...['prepared.plan', 'config.fields', 'config.check', 'presets.list', 'lab.preview', 'runs.list', 'runs.damaged'],
  ...[
    'runs.get',
    'runs.metrics',
    'probes.get',
    'explore.lookup',
    'explore.explain',
    'explore.groups',
    'explore.colours',
  ],
  ...[
    'explore.attention',
    'explore.map',
    'retrieval.indexes',
    'retrieval.search',
    'alike.search',
    'travel.ask',
    'evaluations.list',
    'bakeoffs.list',
    'bakeoffs.damaged',
    'bakeoffs.get',
    'bakeoffs.check',
    'bakeoffs.report',
    'runtime.choice',
    'runtime.storage',
  ],
]);
export type Input<C extends Channel> = z.output<(typeof CHANNELS)[C]['input']>;
/** What a caller gives: what has a default may be left out. */
export type Asked<C extends Channel> = z.input<(typeof CHANNELS)[C]['input']>;
export type Result<C extends Channel> = Exclude<(typeof CHANNELS)[C]['result'], undefined>;
export const CHANNEL_NAMES = Object.keys(CHANNELS) as Channel[];

/** How an answer crosses: an error stays an error, with its words. */
export type Answer<R = unknown> = { ok: true; value: R } | { ok: false; error: ErrorReport };
