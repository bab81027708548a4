import { Argument, type Command, Option } from 'commander';
import type { SelfTradePrevention, Side, TimeInForce } from '../../domain/orders.ts';
import type { Hex } from '../../domain/units.ts';
import type { TallystickClient } from '../../sdk/client.ts';
import type { NewOrderInput, Order } from '../../sdk/types.ts';
import { EXIT, UsageError } from '../exit-codes.ts';
import {
  type ApiOptions,
  decimalValue,
  hashValue,
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
    price?: string;
    slippagePpm?: number;
    timeInForce?: TimeInForce;
    stopAtOrAbove?: string;
    stopAtOrBelow?: string;
    replaces?: Hex;
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
    .option('--price <price>', 'limit, in quote tokens per base token, on tick', decimalValue)
    .option(
      '--slippage-ppm <ppm>',
      'instead of a price: a market order that takes what is there, at most so much worse than the best price (5000: half a percent)',
      wholeNumber(0, 999_999),
    )
    .addOption(
      new Option('--time-in-force <value>', 'how long it lives; gtc when absent').choices(['gtc', 'ioc', 'fok', 'gtd']),
    )
    .option('--stop-at-or-above <price>', 'waits until the last trade is at this price or above', decimalValue)
    .option('--stop-at-or-below <price>', 'waits until the last trade is at this price or below', decimalValue)
    .option(
      '--replaces <order-id>',
      'in the place of this live order; it keeps its priority when only the size shrinks',
      hashValue,
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
      '\nExamples:\n  tallystick order buy 0.5 WETH-USDC --price 2500\n  tallystick order sell 1 WETH-USDC --price 2510.5 --time-in-force ioc --wait --json\n  tallystick order buy 0.5 WETH-USDC --slippage-ppm 5000\n  tallystick order sell 1 WETH-USDC --price 2300 --stop-at-or-below 2350',
    )
    .action(async (side: Side, size: string, market: string, options: OrderOptions) => {
      checkWays(options);
      const client = await openClient(options);
      const { input, replaces } = await orderOf(client, { side, size, market }, options);
      const signed = await client.sign(input, replaces);
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

/** @throws UsageError when two options exclude each other */
function checkWays({
  price,
  slippagePpm,
  timeInForce,
  postOnly,
  stopAtOrAbove,
  stopAtOrBelow,
  replaces,
}: OrderOptions): void {
  if ((price === undefined) === (slippagePpm === undefined)) {
    throw new UsageError('name either a limit with --price, or --slippage-ppm for a market order');
  }
  if (stopAtOrAbove !== undefined && stopAtOrBelow !== undefined) {
    throw new UsageError('a stop order has one trigger: --stop-at-or-above or --stop-at-or-below');
  }
  if (slippagePpm === undefined) return;
  const isStop = stopAtOrAbove !== undefined || stopAtOrBelow !== undefined;
  if (timeInForce !== undefined || postOnly === true || isStop || replaces !== undefined) {
    const others = '--time-in-force, --post-only, --replaces or a stop';
    throw new UsageError(`a market order takes what is there now; it goes without ${others}`);
  }
}

async function orderOf(
  client: TallystickClient,
  { side, size, market }: Pick<NewOrderInput, 'side' | 'size' | 'market'>,
  options: OrderOptions,
): Promise<{ input: NewOrderInput; replaces: Order | undefined }> {
  const { price, slippagePpm = 0, timeInForce = 'gtc', postOnly, clientOrderId, expiresIn, maxFeePpm } = options;
  const { selfTradePrevention, stopAtOrAbove, stopAtOrBelow } = options;
  const stop = stopOf(stopAtOrAbove, stopAtOrBelow);
  const terms = {
    market,
    side,
    size,
    ...(clientOrderId === undefined ? {} : { clientOrderId }),
    ...(expiresIn === undefined ? {} : { expiresInSeconds: expiresIn }),
    ...(maxFeePpm === undefined ? {} : { maxFeePpm }),
    ...(selfTradePrevention === undefined ? {} : { selfTradePrevention }),
  };
  if (price === undefined)
    return { input: await client.boundMarketOrder({ ...terms, slippagePpm }), replaces: undefined };
  const input = {
    ...terms,
    price,
    timeInForce,
    ...(postOnly === undefined ? {} : { postOnly }),
    ...(stop === undefined ? {} : { stop }),
  };
  return { input, replaces: options.replaces === undefined ? undefined : await client.getOrder(options.replaces) };
}

function stopOf(atOrAbove: string | undefined, atOrBelow: string | undefined): NewOrderInput['stop'] {
  if (atOrAbove !== undefined) return { direction: 'at_or_above', triggerPrice: atOrAbove };
  return atOrBelow === undefined ? undefined : { direction: 'at_or_below', triggerPrice: atOrBelow };
}
