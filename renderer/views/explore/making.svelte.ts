/** Maps that this window asked for, by what they are of: another view and back shows the same progress. */
export const making = $state<Record<string, string>>({});
/** Features that this window asked for by itself, once: what was canceled is not begun again. */
export const asked = new Set<string>();
