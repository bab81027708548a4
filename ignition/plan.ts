/** What one parameter file says about a deployment. Addresses may be the word `deployer`. */
export type DeploymentPlan = {
  /** Seconds; 0 < grace < exitDelay < timelockDelay. */
  readonly grace: number;
  readonly exitDelay: number;
  readonly timelockDelay: number;
  /** Highest fees that settlement accepts, in parts per million. */
  readonly takerFeePpm: number;
  readonly makerFeePpm: number;
  readonly governance: { readonly proposers: readonly string[]; readonly executors: readonly string[] };
  readonly guardian: string;
  readonly feeCollector: string;
  readonly engineKey: string;
  /** Address, or the symbol of an asset that this plan deploys. */
  readonly wrappedNative: string;
  /** Address; zero on chains without Permit2. */
  readonly permit2: string;
  /** In order of listing, which fixes their indices. */
  readonly assets: readonly {
    readonly symbol: string;
    readonly decimals: number;
    /** Token base units, a power of ten. */
    readonly quantum: number;
    /** In quanta. */
    readonly minimumDeposit: number;
    /** Address, or `deploy` for a test token that anyone can mint. */
    readonly token: string;
  }[];
  readonly markets: readonly {
    readonly base: string;
    readonly quote: string;
    readonly lotQuanta: number;
    readonly tickQuanta: number;
    readonly maxSizeLots: number;
    readonly maxPriceTicks: number;
  }[];
};
