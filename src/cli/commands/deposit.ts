import type { Command } from 'commander';
import { decimalToUnits, unitsToDecimal } from '../../domain/units.ts';
import {
  type ApiOptions,
  decimalValue,
  type KeyOptions,
  openClient,
  type RpcOptions,
  withApi,
  withKey,
  withRpc,
} from '../options.ts';
import type { Terminal } from '../terminal.ts';

export function addDeposit(program: Command, terminal: Terminal): void {
  withRpc(withKey(withApi(program.command('deposit'))))
    .description('approve and deposit tokens into the vault; credited when the block is final')
    .argument('<asset>', 'such as USDC')
    .argument('<amount>', 'in whole tokens', decimalValue)
    .option('--wait', 'until the balance can be traded')
    .action(
      async (asset: string, amount: string, options: ApiOptions & KeyOptions & RpcOptions & { wait?: boolean }) => {
        const client = await openClient(options);
        const { decimals } = await client.rules.asset(asset);
        const before = (await client.getBalances()).find((balance) => balance.asset === asset)?.available ?? '0';
        terminal.progress(`depositing ${amount} ${asset} from ${client.address} …`);
        const { transactionHash, blockNumber } = await client.deposit({ asset, amount });
        let balance: unknown = null;
        if (options.wait === true) {
          terminal.progress('waiting until the block is final …');
          const units = (decimalToUnits(before, decimals) ?? 0n) + (decimalToUnits(amount, decimals) ?? 0n);
          balance = await client.waitForBalance({ asset, available: unitsToDecimal(units, decimals) });
        }
        const state = options.wait === true ? 'credited' : 'included, credited when final';
        terminal.show({
          json: { asset, amount, transactionHash, blockNumber: Number(blockNumber), balance },
          text: `${amount} ${asset} ${state}: block ${blockNumber}\n  transaction ${transactionHash}`,
        });
      },
    );
}
