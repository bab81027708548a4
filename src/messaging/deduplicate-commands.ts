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

type SignedCommand = Extract<UserCommand, { kind: 'placeOrder' | 'replaceOrder' | 'requestWithdrawal' }>;
type Known = { readonly command: SignedCommand; readonly reply: Promise<CommandReply> };

export function deduplicateCommands(handler: CommandHandler): CommandHandler {
  // By digest, which stands for all that was signed; what was said around it is compared.
  const replies = new RecentMap<string, Known>(REPLIES_KEPT);
  const forget = (digest: string, command: SignedCommand): void => {
    if (replies.get(digest)?.command === command) replies.delete(digest);
  };
  return (command, options) => {
    if (!isSigned(command)) return handler(command, options);
    const { digest } = command.kind === 'requestWithdrawal' ? command.withdrawal : command.order;
    const known = replies.get(digest);
    if (known !== undefined && saysTheSame(known.command, command)) return known.reply;
    const reply = handler(command, options).then(
      (settled) => {
        if (!isAccepted(settled)) forget(digest, command);
        return settled;
      },
      (cause: unknown) => {
        forget(digest, command);
        throw cause;
      },
    );
    if (known === undefined) replies.set(digest, { command, reply });
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
