/** A vault with three settled batches, a withdrawal and an exit, and the journal that explains them: what auditors' tests tamper with. */
import type { Hash } from '../../src/domain/units.ts';
import type { LocalNode } from '../../src/services/local-node.ts';
import { LabExchange } from './lab-exchange.ts';
import { LAB_EXIT_DELAY, type LabUser, SettlementLab } from './settlement-lab.ts';

export type TradedExchange = {
  readonly lab: SettlementLab;
  readonly exchange: LabExchange;
  readonly users: [LabUser, LabUser, LabUser];
  /** Of the last batch. */
  readonly transaction: Hash;
};

export async function tradedExchange(node: LocalNode): Promise<TradedExchange> {
  const lab = await SettlementLab.create(node);
  const [ann, ben, cleo] = await Promise.all([
    lab.createFundedUser('ann'),
    lab.createFundedUser('ben'),
    lab.createFundedUser('cleo'),
  ]);
  for (const user of [ann, ben, cleo]) for (const asset of [0, 1, 2]) await lab.deposit(user, asset, 1_000_000_000);
  const exchange = await LabExchange.open(lab);
  let transaction: Hash = '0x';
  for (let round = 0; round < 3; round++) {
    await exchange.place(ann, { side: 'sell', sizeLots: 10, priceTicks: 100 });
    await exchange.place(ben, { side: 'sell', sizeLots: 10, priceTicks: 100 });
    await exchange.place(cleo, { side: 'buy', sizeLots: 14, priceTicks: 101, timeInForce: 'ioc', lane: 0 });
    await exchange.place(cleo, { market: 1, side: 'sell', sizeLots: 3, priceTicks: 40 });
    await exchange.place(ann, { market: 1, side: 'buy', sizeLots: 2, priceTicks: 41, timeInForce: 'fok', lane: 0 });
    if (round === 1) await exchange.withdraw(ben, 1, 500);
    transaction = await exchange.settle();
  }
  await lab.send(ben.address, lab.vault, 'requestExit', [lab.tokens[2]]);
  await lab.passTime(LAB_EXIT_DELAY);
  await lab.send(ben.address, lab.vault, 'exit', [lab.tokens[2], ben.address]);
  await exchange.feed();
  return { lab, exchange, users: [ann, ben, cleo], transaction };
}
