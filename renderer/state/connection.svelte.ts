import { type Connection, onConnection } from '../api.ts';

let state = $state<Connection>('connecting');
let since = $state(Date.now());
onConnection((now) => {
  state = now;
  since = Date.now();
});

/** Whether the window is connected, and so whether it shows the present state or an old one. */
export const connection = {
  get state() {
    return state;
  },
  /** When it came to be so, ms since 1970. */
  get since() {
    return since;
  },
  /** What is shown may have changed meanwhile. */
  get isDown() {
    return state === 'lost' || state === 'silent' || state === 'refused';
  },
};
