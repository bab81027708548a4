import type { Command } from 'commander';
import {
  type ApiOptions,
  addressValue,
  decimalValue,
  type KeyOptions,
  openClient,
  withApi,
  withKey,
} from '../options.ts';
import type { Terminal } from '../terminal.ts';

type WithdrawOptions = ApiOptions & KeyOptions & { maxFee?: string; recipient?: string; wait?: boolean };

export function addWithdraw(program: Command, terminal: Terminal): void {
  withKey(withApi(program.command('withdraw')))
    .description('sign a withdrawal, which the next batch pays out')
    .argument('<asset>', 'such as USDC')
    .argument('<amount>', 'in whole tokens, debited in total', decimalValue)
    .option('--recipient <address>', 'who is paid; the wallet itself when absent', addressValue)
    .option('--max-fee <amount>', 'highest fee that the signature allows; the current one when absent', decimalValue)
    .option('--wait', 'until it is paid out for good')
    .addHelpText('after', '\nTo leave without the operator, use "tallystick exit".')
    .action(async (asset: string, amount: string, { maxFee, recipient, wait, ...options }: WithdrawOptions) => {
      const client = await openClient(options);
      let withdrawal = await client.withdraw({
        asset,
        amount,
        ...(maxFee === undefined ? {} : { maxFee }),
        ...(recipient === undefined ? {} : { recipient }),
      });
      if (wait === true) {
        terminal.progress(`waiting until withdrawal ${withdrawal.id} is paid out …`);
        withdrawal = await client.waitForWithdrawal(withdrawal.id);
      }
      const text = [
        `${withdrawal.state}: ${withdrawal.amount} ${withdrawal.asset} to ${withdrawal.recipient}, fee ${withdrawal.fee}`,
        `  id ${withdrawal.id}`,
        ...(withdrawal.transactionHash === null ? [] : [`  transaction ${withdrawal.transactionHash}`]),
      ].join('\n');
      terminal.show({ json: withdrawal, text });
    });
}
