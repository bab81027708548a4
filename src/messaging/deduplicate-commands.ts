/**
 * The same signed command delivered twice is answered twice and executed once.
 *
 * Commands with a signature (orders, withdrawals) are known by their whole content. One that is under way is joined; one that
 * was accepted is answered from memory, as long as it is among the last `REPLIES_KEPT`. A refused one is executed again:
 * what refused it may have changed. Beyond that memory the engine itself refuses a nonce that was used.
 */
import type { UserCommand } from '../domain/commands.ts';
import type { NewOrder } from '../domain/orders.ts';
import { RecentMap } from '../domain/recent-map.ts';
import type { CommandHandler, CommandReply } from './port.ts';

const REPLIES_KEPT = 4096;

export function deduplicateCommands(handler: CommandHandler): CommandHandler {
  const replies = new RecentMap<string, Promise<CommandReply>>(REPLIES_KEPT);
  return (command, options) => {
    const key = contentKey(command);
    if (key === undefined) return handler(command, options);
    const known = replies.get(key);
    if (known !== undefined) return known;
    const reply = handler(command, options).then(
      (settled) => {
        if (!isAccepted(settled)) replies.delete(key);
        return settled;
      },
      (cause: unknown) => {
        replies.delete(key);
        throw cause;
      },
    );
    replies.set(key, reply);
    return reply;
  };
}

function contentKey(command: UserCommand): string | undefined {
  switch (command.kind) {
    case 'placeOrder':
      return orderKey(command.order);
    case 'replaceOrder': {
      const { account, lane, orderSequence } = command.replaced;
      return `${orderKey(command.order)}/${account}/${lane}/${orderSequence}`;
    }
    case 'requestWithdrawal':
      return JSON.stringify(command);
    case 'cancelOrder':
    case 'cancelAllOrders':
    case 'cancelAfter':
    case 'reduceOrder':
    case 'armDisconnect':
    case 'disarmDisconnect':
    case 'renewGateway':
      return undefined;
  }
}

/** The digest stands for all that was signed, its signature for the signer; the rest is what was said around them. */
function orderKey({ digest, signature, clientOrderId, selfTradePrevention, stop }: NewOrder): string {
  const trigger = stop === undefined ? '' : `${stop.direction}${stop.triggerPriceTicks}`;
  return `${digest}/${signature}/${selfTradePrevention}/${trigger}/${clientOrderId}`;
}

function isAccepted(reply: CommandReply): boolean {
  return (
    reply.kind === 'committed' &&
    reply.events.some((event) => event.kind === 'orderAccepted' || event.kind === 'withdrawalAccepted')
  );
}
