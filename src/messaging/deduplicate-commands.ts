/**
 * The same signed command delivered twice is answered twice and executed once.
 *
 * Commands with a signature (orders, withdrawals) are known by their whole content. One that is under way is joined; one that
 * was accepted is answered from memory, as long as it is among the last `repliesKept`. A refused one is executed again:
 * what refused it may have changed. Beyond that memory the engine itself refuses a nonce that was used.
 */
import type { UserCommand } from '../domain/commands.ts';
import type { NewOrder } from '../domain/orders.ts';
import { RecentMap } from '../domain/recent-map.ts';
import type { CommandHandler, CommandReply } from './port.ts';

type SignedCommand = Extract<UserCommand, { kind: 'placeOrder' | 'replaceOrder' | 'requestWithdrawal' }>;
type Known = { readonly command: SignedCommand; readonly reply: Promise<CommandReply> };

export function deduplicateCommands(handler: CommandHandler, repliesKept: number): CommandHandler {
  // By digest, which stands for all that was signed; what was said around it is compared. As many as the handler takes at a time.
  const underWay = new Map<string, Known>();
  const accepted = new RecentMap<string, Known>(repliesKept);
  return (command, options) => {
    if (!isSigned(command)) return handler(command, options);
    const { digest } = command.kind === 'requestWithdrawal' ? command.withdrawal : command.order;
    const known = underWay.get(digest) ?? accepted.get(digest);
    if (known !== undefined && saysTheSame(known.command, command)) return known.reply;
    const reply = handler(command, options);
    if (known !== undefined) return reply;
    const own = { command, reply };
    underWay.set(digest, own);
    reply.then(
      (settled) => {
        if (isAccepted(settled)) accepted.set(digest, own);
        underWay.delete(digest);
      },
      () => underWay.delete(digest),
    );
    return reply;
  };
}

function isSigned(command: UserCommand): command is SignedCommand {
  return command.kind === 'placeOrder' || command.kind === 'replaceOrder' || command.kind === 'requestWithdrawal';
}

function saysTheSame(one: SignedCommand, other: SignedCommand): boolean {
  if (one.kind === 'requestWithdrawal' || other.kind === 'requestWithdrawal') {
    return JSON.stringify(one) === JSON.stringify(other);
  }
  return areSameOrders(one.order, other.order) && replacedBy(one) === replacedBy(other);
}

function areSameOrders(one: NewOrder, other: NewOrder): boolean {
  return (
    one.digest === other.digest &&
    one.signature === other.signature &&
    one.selfTradePrevention === other.selfTradePrevention &&
    one.clientOrderId === other.clientOrderId &&
    one.stop?.direction === other.stop?.direction &&
    one.stop?.triggerPriceTicks === other.stop?.triggerPriceTicks
  );
}

function replacedBy(command: Extract<SignedCommand, { kind: 'placeOrder' | 'replaceOrder' }>): string {
  if (command.kind === 'placeOrder') return '';
  const { account, lane, orderSequence } = command.replaced;
  return `${account}/${lane}/${orderSequence}`;
}

function isAccepted(reply: CommandReply): boolean {
  return (
    reply.kind === 'committed' &&
    reply.events.some((event) => event.kind === 'orderAccepted' || event.kind === 'withdrawalAccepted')
  );
}
