/** Seeds whose scenarios once told vault and model apart, or reach what few seeds reach; each is run again for good. */
export const CASES: readonly { readonly seed: number; readonly steps: number; readonly why: string }[] = [
  { seed: 1, steps: 40, why: 'the first one that was run' },
];
