export type Theme = 'system' | 'light' | 'dark';
const KEY = 'theme';
const system = matchMedia('(prefers-color-scheme: dark)');
const kept = localStorage.getItem(KEY);
let chosen = $state<Theme>(kept === 'light' || kept === 'dark' ? kept : 'system');
let systemDark = $state(system.matches);

const apply = () => {
  document.documentElement.dataset.theme = theme.shown;
};
export const theme = {
  get chosen() {
    return chosen;
  },
  /** What is seen: charts draw themselves again when it changes. */
  get shown(): 'light' | 'dark' {
    return chosen === 'system' ? (systemDark ? 'dark' : 'light') : chosen;
  },
  set(value: Theme) {
    chosen = value;
    localStorage.setItem(KEY, value);
    apply();
  },
};
system.addEventListener('change', ({ matches }) => {
  systemDark = matches;
  apply();
});
apply();
