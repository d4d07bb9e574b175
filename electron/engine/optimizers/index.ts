import type { ParameterSpec } from '../specs.ts';
import { AdamW, type AdamWSettings } from './adamw.ts';
import { LARS, type LARSSettings } from './lars.ts';
import type { Optimizer, RateOf } from './optimizer.ts';
import { SGD, type SGDSettings } from './sgd.ts';

/** Which optimizer, and its settings; AdamW where none is named. */
export type OptimizerSettings =
  | ({ name?: 'adamw' } & AdamWSettings)
  | ({ name: 'sgd' } & SGDSettings)
  | ({ name: 'lars' } & LARSSettings);

/** The optimizer of a configuration, on these parameters. @param rate by default 1 for each */
export function makeOptimizer(settings: OptimizerSettings, specs: readonly ParameterSpec[], rate?: RateOf): Optimizer {
  switch (settings.name) {
    case 'sgd':
      return new SGD(settings, specs, rate);
    case 'lars':
      return new LARS(settings, specs, rate);
    default:
      return new AdamW(settings, specs, rate);
  }
}
