import type { Command } from 'commander';
import { type ApiOptions, type KeyOptions, openClient, withApi, withKey } from '../options.ts';
import { styled, type Terminal, table } from '../terminal.ts';

export function addBalances(program: Command, terminal: Terminal): void {
  withKey(withApi(program.command('balances')))
    .description("show the wallet's balances at the exchange, in all their states")
    .addHelpText(
      'after',
      '\nunsettled: received by trades that are not final on chain yet; can be traded, not withdrawn.\non chain: what the vault itself shows at the last final block.',
    )
    .action(async (options: ApiOptions & KeyOptions) => {
      const client = await openClient(options);
      const balances = await client.getBalances();
      const rows = balances.map((balance) => [
        balance.asset,
        balance.available,
        balance.locked,
        balance.unsettledIn,
        balance.pendingDeposit,
        balance.pendingWithdrawal,
        balance.onChain,
      ]);
      const headers = ['asset', '>available', '>locked', '>unsettled', '>depositing', '>withdrawing', '>on chain'];
      const text = `${styled('dim', client.address)}\n${table(headers, rows)}`;
      terminal.show({ json: { account: client.address, balances }, text });
    });
}
