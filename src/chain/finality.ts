/** When a block counts as final: with `count` blocks on top of it, or when the node's tag says so. */
export type Finality =
  | { readonly kind: 'confirmations'; readonly count: number }
  | { readonly kind: 'tag'; readonly tag: 'finalized' | 'safe' };
