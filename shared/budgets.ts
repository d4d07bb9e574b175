/** How much time somebody has for a run, minutes. */
export const BUDGETS = [
  { key: 'quick', title: 'Quick look', minutes: 5 },
  { key: 'good', title: 'Good', minutes: 40 },
  { key: 'overnight', title: 'Overnight', minutes: 480 },
] as const;
export type Budget = (typeof BUDGETS)[number];
export type BudgetKey = Budget['key'];
