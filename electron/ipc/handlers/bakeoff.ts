import type { BAKE_OFFS } from '../../../shared/contract/bakeoff.ts';
import type { Context, HandlersOf } from '../context.ts';

export function bakeOffHandlers({ bakeOffs, events }: Context): HandlersOf<typeof BAKE_OFFS> {
  return {
    'bakeoffs.list': () => bakeOffs.rows(),
    'bakeoffs.damaged': () => bakeOffs.damaged(),
    'bakeoffs.get': ({ id }) => bakeOffs.get(id),
    'bakeoffs.check': (input) => bakeOffs.check(input),
    'bakeoffs.measure': (input) => bakeOffs.measure(input),
    'bakeoffs.start': (input) => bakeOffs.start(input),
    'bakeoffs.continue': ({ id }) => {
      bakeOffs.goOn(id);
      return {};
    },
    'bakeoffs.delete': ({ id }) => {
      bakeOffs.delete(id);
      events.emit({ type: 'bakeoffs' });
      return {};
    },
    'bakeoffs.report': ({ id }) => bakeOffs.report(id),
  };
}
