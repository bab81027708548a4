import { Argument, type Command, Option } from 'commander';
import type { SelfTradePrevention, Side, TimeInForce } from '../../domain/orders.ts';
import type { NewOrderInput } from '../../sdk/types.ts';
import { EXIT } from '../exit-codes.ts';
import {
  type ApiOptions,
  decimalValue,
  type KeyOptions,
  marketName,
  openApi,
  openClient,
  wholeNumber,
  withApi,
  withKey,
} from '../options.ts';
import { type Terminal, table } from '../terminal.ts';

type OrderOptions = ApiOptions &
  KeyOptions & {
    price: string;
    timeInForce: TimeInForce;
    postOnly?: boolean;
    clientOrderId?: string;
    expiresIn?: number;
    maxFeePpm?: number;
    selfTradePrevention?: SelfTradePrevention;
    dryRun?: boolean;
    wait?: boolean;
  };

type Validation = {
  readonly valid: boolean;
  readonly digest: string | null;
  readonly notional: string | null;
  readonly maxFee: string | null;
  readonly problems: readonly { readonly pointer: string; readonly code: string; readonly message: string }[];
};

export function addOrder(program: Command, terminal: Terminal): void {
  withKey(withApi(program.command('order')))
    .description('sign an order and place it')
    .addArgument(new Argument('<side>', 'buy or sell').choices(['buy', 'sell']))
    .argument('<size>', 'in base tokens, on lot', decimalValue)
    .argument('<market>', 'such as WETH-USDC', marketName)
    .requiredOption('--price <price>', 'limit, in quote tokens per base token, on tick', decimalValue)
    .addOption(
      new Option('--time-in-force <value>', 'how long it lives').choices(['gtc', 'ioc', 'fok', 'gtd']).default('gtc'),
    )
    .option('--post-only', 'refuse it rather than take')
    .option('--client-order-id <id>', 'your own name for it; the same name and content again is the same order')
    .option('--expires-in <seconds>', 'at most 30 days; one day when absent', wholeNumber(1, 2_592_000))
    .option(
      '--max-fee-ppm <ppm>',
      "highest fee, in parts per million; the market's own when absent",
      wholeNumber(0, 50_000),
    )
    .addOption(
      new Option('--self-trade-prevention <mode>', 'when it would meet an order of your own').choices([
        'cancel_newest',
        'cancel_oldest',
        'cancel_both',
        'decrement',
      ]),
    )
    .option('--dry-run', 'sign and ask whether it would be accepted, without placing it')
    .option('--wait', 'until every fill that it got at once is final on chain')
    .addHelpText(
      'after',
      '\nExamples:\n  tallystick order buy 0.5 WETH-USDC --price 2500\n  tallystick order sell 1 WETH-USDC --price 2510.5 --time-in-force ioc --wait --json',
    )
    .action(async (side: Side, size: string, market: string, options: OrderOptions) => {
      const client = await openClient(options);
      const signed = await client.sign(inputOf(side, size, market, options));
      if (options.dryRun === true) {
        const validation = await openApi(options).request<Validation>('/api/v1/orders/validate', {
          method: 'POST',
          body: signed,
          repeatable: true,
        });
        client.discard(signed);
        const problems = validation.problems.map(({ code, message }) => `  ${code}: ${message}`);
        const text = validation.valid
          ? `would be accepted: notional ${validation.notional}, fee at most ${validation.maxFee}\n  id ${validation.digest}`
          : `would be refused:\n${problems.join('\n')}`;
        terminal.show({ json: validation, text, exitCode: validation.valid ? EXIT.ok : EXIT.refused });
        return;
      }
      const placed = await client.submit(signed);
      let fills = [...placed.fills];
      if (options.wait === true && fills.length > 0) {
        terminal.progress(`waiting until ${fills.length} fills are final …`);
        const settled = await Promise.all(fills.map((fill) => fill.settled()));
        fills = fills.map((fill, index) => ({ ...fill, ...settled[index] }));
      }
      const { order, receipt } = placed;
      const reason = order.reason === null ? '' : ` (${order.reason})`;
      const rows = fills.map((fill) => [
        String(fill.tradeId),
        fill.price,
        fill.size,
        `${fill.fee} ${fill.feeAsset}`,
        fill.state,
        fill.transactionHash ?? '-',
      ]);
      const text = [
        `${order.status}${reason}: ${order.side} ${order.size} ${order.market} at ${order.price}, filled ${order.filled}`,
        `  id ${order.id}`,
        ...(rows.length === 0 ? [] : [table(['>trade', '>price', '>size', '>fee', 'state', 'transaction'], rows)]),
      ].join('\n');
      terminal.show({ json: { order, fills, receipt }, text });
    });
}

function inputOf(side: Side, size: string, market: string, options: OrderOptions): NewOrderInput {
  const { price, timeInForce, postOnly, clientOrderId, expiresIn, maxFeePpm, selfTradePrevention } = options;
  return {
    market,
    side,
    price,
    size,
    timeInForce,
    ...(postOnly === undefined ? {} : { postOnly }),
    ...(clientOrderId === undefined ? {} : { clientOrderId }),
    ...(expiresIn === undefined ? {} : { expiresInSeconds: expiresIn }),
    ...(maxFeePpm === undefined ? {} : { maxFeePpm }),
    ...(selfTradePrevention === undefined ? {} : { selfTradePrevention }),
  };
}
