/** GET /balances: every state a balance can be in, and the figure on chain with its block. */
import { Type } from 'typebox';
import { accountBalances } from '../../storage/queries/balances.ts';
import { toChecksum } from '../addresses.ts';
import type { Route } from '../context.ts';
import { BalanceView } from '../market-schemas.ts';
import { AddressOut, nullable, object } from '../schemas.ts';
import { balanceView } from '../views.ts';

const Balances = object({
  account: AddressOut,
  journalSequence: Type.Integer({ description: 'Last command that the figures contain.' }),
  chainEventSequence: Type.Integer({ description: 'Vault event at which `onChain` stands.' }),
  blockNumber: nullable(Type.Integer({ description: 'Block of that event.' })),
  data: Type.Array(BalanceView),
  nextCursor: Type.Null(),
});

export const getBalances: Route = (app, context) => {
  const { pool, catalogue, writes } = context;
  app.get(
    '/balances',
    { schema: { tags: ['account'], summary: "The account's balances", response: { 200: Balances } } },
    async (request) => {
      const { account } = await context.requireKey(request, 'read');
      await writes.settled(account);
      const held = await accountBalances(pool, account);
      return {
        account: toChecksum(account),
        journalSequence: held.journalSequence,
        chainEventSequence: held.chainEventSequence,
        blockNumber: held.blockNumber ?? null,
        data: await Promise.all(
          held.balances.map(async (balance) => balanceView(balance, await catalogue.assetAt(balance.asset))),
        ),
        nextCursor: null,
      };
    },
  );
};
