/** The bugs that `npm run test:promises` plants: each takes away something that a promise rests on, as an honest mistake might. */

/** Where each promise is held. */
export const TEST_OF_PROMISE = {
  P1: 'test/promises/p01-authority.test.ts',
  P2: 'test/promises/p02-limits.test.ts',
  P3: 'test/promises/p03-exit.test.ts',
  P4: 'test/promises/p04-solvency.test.ts',
  P5: 'test/promises/p05-durability.test.ts',
  P6: 'test/promises/p06-determinism.test.ts',
  P7: 'test/promises/p07-exactly-once.test.ts',
  P8: 'test/promises/p08-one-leader.test.ts',
  P9: 'test/promises/p09-reconciled.test.ts',
  P10: 'test/promises/p10-verifiable-matching.test.ts',
} as const;
export type PromiseName = keyof typeof TEST_OF_PROMISE;

export type PlantedBug = {
  readonly promise: PromiseName;
  readonly what: string;
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly text: string;
  readonly replacement: string;
};

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    promise: 'P1',
    what: 'the API takes a withdrawal that anybody signed',
    file: 'src/api/trading/withdrawal-desk.ts',
    text: 'if (checked.signer !== terms.account) {',
    replacement: 'if (checked.signer === undefined) {',
  },
  {
    promise: 'P1',
    what: 'the API takes an order of any signer without looking for a session key',
    file: 'src/api/trading/check-signer.ts',
    text: 'if (signer === account) return;',
    replacement: 'if (signer !== undefined) return;',
  },
  {
    promise: 'P1',
    what: 'the engine forgets to end a revoked session key',
    file: 'src/offchain-engine/chain-facts.ts',
    text: '  keys.delete(key);\n',
    replacement: '',
  },
  {
    promise: 'P1',
    what: 'the vault takes any valid signature for an owner’s order',
    file: 'contracts/Settlement.sol',
    text: 'if (kind == 0 ? signer != account : signer == 0) return (_BAD_SIGNATURE, 0);',
    replacement: 'if (signer == 0) return (_BAD_SIGNATURE, 0);',
  },
  {
    promise: 'P1',
    what: 'the vault pays a withdrawal on any valid signature',
    file: 'contracts/Withdrawals.sol',
    text: 'Signatures.recover(digest, r, vs) == w.account;',
    replacement: 'Signatures.recover(digest, r, vs) != address(0);',
  },
  {
    promise: 'P2',
    what: 'the engine goes on matching what was cancelled on chain',
    file: 'src/offchain-engine/chain-facts.ts',
    text: '(id) => termFloats[(id << TERM_FLOAT_SHIFT) | ORDER_SEQUENCE]! < beforeSequence,',
    replacement: '(id) => termFloats[(id << TERM_FLOAT_SHIFT) | ORDER_SEQUENCE]! < 0,',
  },
  {
    promise: 'P2',
    what: 'the engine takes expired orders',
    file: 'src/offchain-engine/order-checks.ts',
    text: 'if (!(expiry * 1000 > state.nowMs)) return REJECT.expired;',
    replacement: 'if (!(expiry > 0)) return REJECT.expired;',
  },
  {
    promise: 'P2',
    what: 'the engine matches beyond the taker’s limit',
    file: 'src/offchain-engine/matching.ts',
    text: 'if (best === 0 || (side === BUY ? best > price : best < price)) break;',
    replacement: 'if (best === 0) break;',
  },
  {
    promise: 'P2',
    what: 'the vault settles expired orders for ever',
    file: 'contracts/Settlement.sol',
    text: 'pass.expiryMin = block.timestamp - GRACE;',
    replacement: 'pass.expiryMin = 0;',
  },
  {
    promise: 'P2',
    what: 'a cancellation binds settlement at once: a free option against what was matched',
    file: 'contracts/VaultStorage.sol',
    text: 'return DEPLOYED_AT + (stamp - 1) * 60 + GRACE;',
    replacement: 'return DEPLOYED_AT + (stamp - 1) * 60;',
  },
  {
    promise: 'P3',
    what: 'a pause holds up exits',
    file: 'contracts/Custody.sol',
    text: 'function exit(address token, address recipient) external nonReentrant {',
    replacement: 'function exit(address token, address recipient) external nonReentrant whenNotPaused {',
  },
  {
    promise: 'P3',
    what: 'a vault may be deployed whose governance is faster than its exits',
    file: 'contracts/VaultStorage.sol',
    text: 'if (p.grace == 0 || p.grace >= p.exitDelay || p.exitDelay >= p.timelockDelay) {',
    replacement: 'if (p.grace == 0 || p.grace >= p.exitDelay) {',
  },
  {
    promise: 'P3',
    what: 'the timelock can shorten its own delay',
    file: 'contracts/VaultTimelock.sol',
    text: 'if (duration < FLOOR) duration = FLOOR;',
    replacement: '',
  },
  {
    promise: 'P4',
    what: 'an exit pays and leaves the balance on the books',
    file: 'contracts/Custody.sol',
    text: 'Raw.write(slot, page & ~(Slots.MASK_64 << shift));',
    replacement: 'Raw.write(slot, page);',
  },
  {
    promise: 'P4',
    what: 'a withdrawal is paid without looking at the balance',
    file: 'contracts/Withdrawals.sol',
    text: 'if ((page >> shift) & Slots.MASK_64 < w.amount) return W_INSUFFICIENT_BALANCE;',
    replacement: '',
  },
  {
    promise: 'P5',
    what: 'the sequencer applies and acknowledges while the commit is still under way',
    file: 'src/offchain-engine/sequencer/sequencer.ts',
    text: 'const appended = this.#append(row);',
    replacement:
      'this.#finish({ ...row, committedAtMs: 0 as TimestampMs }); const appended = this.#append(row).then(() => undefined);',
  },
  {
    promise: 'P5',
    what: 'an engine leads over a database that forgets commits in a crash',
    file: 'src/storage/leadership.ts',
    text: "durability === 'off'",
    replacement: "durability === 'nothing'",
  },
  {
    promise: 'P5',
    what: 'recovery does not notice that the journal has lost its end',
    file: 'src/offchain-engine/sequencer/replica.ts',
    text: 'if (snapshot.sequence > (last?.lastSequence ?? 0)) {',
    replacement: 'if (snapshot.sequence < 0) {',
  },
  {
    promise: 'P6',
    what: 'the engine reads the clock',
    file: 'src/offchain-engine/engine.ts',
    text: 'core.nowMs = timestampMs;',
    replacement: 'core.nowMs = Math.max(timestampMs, Date.now());',
  },
  {
    promise: 'P6',
    what: 'a restored snapshot does not go on numbering trades where it stood',
    file: 'src/offchain-engine/snapshot.ts',
    text: 'core.nextTradeId = input.number();',
    replacement: 'core.nextTradeId = Math.max(1, input.number() - 1);',
  },
  {
    promise: 'P6',
    what: 'the rules for filling a batch change without a new version',
    file: 'src/offchain-engine/batches.ts',
    text: 'if (taken > tradesMax && end > trades.head) return end;',
    replacement: 'if (taken >= tradesMax && end > trades.head) return end;',
  },
  {
    promise: 'P7',
    what: 'a voided trade is reversed on one side only',
    file: 'src/offchain-engine/reversals.ts',
    text: '  giveBack(state, seller, market.base, base);\n',
    replacement: '',
  },
  {
    promise: 'P7',
    what: 'a fact of the chain that comes again is applied again',
    file: 'src/offchain-engine/chain-facts.ts',
    text: 'if (command.eventSequence !== state.lastChainEventSequence + 1) return;',
    replacement: 'if (command.eventSequence > state.lastChainEventSequence + 1) return;',
  },
  {
    promise: 'P7',
    what: 'the vault takes a batch on another parent',
    file: 'contracts/Settlement.sol',
    text: 'if (batch.parent != parent) revert WrongParent(parent, batch.parent);',
    replacement: '',
  },
  {
    promise: 'P7',
    what: 'the vault takes a batch that leaves a gap',
    file: 'contracts/Settlement.sol',
    text: 'if (batch.id != progress.batchId() + 1) revert',
    replacement: 'if (batch.id <= progress.batchId()) revert',
  },
  {
    promise: 'P8',
    what: 'the INSERT does not look at the epoch',
    file: 'src/storage/journal/postgres-journal.ts',
    text: 'WHERE epoch = $3::bigint AND owner = $10\n    RETURNING epoch',
    replacement: "WHERE $3::bigint > 0 AND $10 <> ''\n    RETURNING $3::bigint AS epoch",
  },
  {
    promise: 'P8',
    what: 'the INSERT does not look at the previous row',
    file: 'src/storage/journal/postgres-journal.ts',
    text: 'previous.last_sequence = $1 - 1 AND previous.hash = $6)',
    replacement: 'previous.last_sequence = $1 - 1)',
  },
  {
    promise: 'P8',
    what: 'a takeover keeps the epoch of the leader before',
    file: 'src/storage/leadership.ts',
    text: 'const epoch = leader.epoch + 1;',
    replacement: 'const epoch = Math.max(1, leader.epoch);',
  },
  {
    promise: 'P9',
    what: 'a difference of one quantum is let pass',
    file: 'src/reconciliation/compare.ts',
    text: 'if (inLedger !== inVault) drift.push(',
    replacement: 'if (Math.abs(inLedger - inVault) > 1) drift.push(',
  },
  {
    promise: 'P9',
    what: 'drift raises an alarm and halts nothing',
    file: 'src/reconciliation/run-reconciler.ts',
    text: "kind: 'drift', summary, details: report });\n      await halt(summary);",
    replacement: "kind: 'drift', summary, details: report });",
  },
  {
    promise: 'P9',
    what: 'the engine takes withdrawals while they are halted',
    file: 'src/offchain-engine/withdrawals.ts',
    text: "if (state.withdrawalsHalted) return 'withdrawals_halted';",
    replacement: '',
  },
  {
    promise: 'P10',
    what: 'the youngest order of a price is matched first',
    file: 'src/offchain-engine/book/book.ts',
    text: `      const tail = links[level + TAIL]!;
      ints[at | PREVIOUS] = tail;
      ints[(tail << INT_SHIFT) | NEXT] = id;
      links[level + TAIL] = id;`,
    replacement: `      const head = links[level]!;
      ints[at | PREVIOUS] = 0;
      ints[at | NEXT] = head;
      ints[(head << INT_SHIFT) | PREVIOUS] = id;
      links[level] = id;`,
  },
  {
    promise: 'P10',
    what: 'the auditor does not compare what was settled with what the journal gives',
    file: 'src/auditor/replay-journal.ts',
    text: '    difference === undefined,',
    replacement: '    true,',
  },
  {
    promise: 'P10',
    what: 'the auditor does not look at the row that a batch commits to',
    file: 'src/auditor/replay-journal.ts',
    text: '    commits,',
    replacement: '    true,',
  },
  {
    promise: 'P10',
    what: 'a receipt is taken for any command',
    file: 'src/auditor/judge-receipt.ts',
    text: 'if (!receiptProves(receipt, sequenced)) {',
    replacement: 'if (receipt.sequence !== sequenced.sequence) {',
  },
];
