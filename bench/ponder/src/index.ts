import { ponder } from 'ponder:registry';
import { deposit } from 'ponder:schema';

ponder.on('Vault:Deposited', async ({ event, context }) => {
  await context.db.insert(deposit).values({
    eventSequence: event.args.eventSequence,
    blockNumber: event.block.number,
    transactionHash: event.transaction.hash,
    logIndex: event.log.logIndex,
    account: event.args.account,
    asset: event.args.asset,
    quanta: event.args.quanta,
  });
});
