/**
 * The latest trades, each with how far its settlement has come, and the line of their prices.
 *
 * The stream tells of a trade the moment it is matched; REST tells its settlement. What is known to be further along never goes back.
 */
import { placesOf, withPlaces } from './decimal.js';
import { byId, clockTime, element, emptyRow, progress } from './elements.js';
import { drawPriceLine } from './price-line.js';

export const SETTLEMENT_STEPS = ['matched', 'batched', 'submitted', 'included', 'final'];
const TRADES_KEPT = 200;
const TRADES_SHOWN = 18;

/** @typedef {{ tradeId: number, price: string, size: string, takerSide: 'buy' | 'sell', timeMs: number, state: string, voidReason: string | null }} Trade */

export class TradesView {
  #body = byId('trades');
  /** Newest first. @type {Trade[]} */
  #trades = [];
  #priceDecimals = 0;
  #sizeDecimals = 0;

  constructor() {
    new ResizeObserver(() => this.#drawLine()).observe(byId('chart'));
  }

  /** @param {{ tickSize: string, lotSize: string }} market */
  showMarket(market) {
    this.#priceDecimals = placesOf(market.tickSize);
    this.#sizeDecimals = placesOf(market.lotSize);
    this.#trades = [];
    this.#draw();
  }

  /** Trades of the stream, in any order. @param {readonly any[]} trades */
  addMatched(trades) {
    this.#merge(trades.map((trade) => ({ ...trade, timeMs: trade.time, state: 'matched', voidReason: null })));
  }

  /** Trades of REST. @param {readonly any[]} trades */
  addSettled(trades) {
    this.#merge(trades.map((trade) => ({ ...trade, timeMs: trade.createdAt })));
  }

  /** Whether a trade on show may still change. */
  get hasUnsettled() {
    return this.#trades.slice(0, TRADES_SHOWN).some(({ state }) => state !== 'final' && state !== 'voided');
  }

  /** @param {readonly Trade[]} trades */
  #merge(trades) {
    const byTradeId = new Map(this.#trades.map((trade) => [trade.tradeId, trade]));
    for (const trade of trades) {
      const known = byTradeId.get(trade.tradeId);
      if (known === undefined || stage(trade.state) > stage(known.state)) byTradeId.set(trade.tradeId, trade);
    }
    this.#trades = [...byTradeId.values()].sort((a, b) => b.tradeId - a.tradeId).slice(0, TRADES_KEPT);
    this.#draw();
  }

  #draw() {
    const rows = this.#trades.slice(0, TRADES_SHOWN).map((trade) => {
      const state = progress(SETTLEMENT_STEPS, trade.state);
      if (trade.voidReason !== null) state.title = trade.voidReason;
      const row = element(
        'tr',
        '',
        element('td', trade.takerSide, withPlaces(trade.price, this.#priceDecimals)),
        element('td', '', withPlaces(trade.size, this.#sizeDecimals)),
        element('td', 'quiet', clockTime(trade.timeMs)),
        element('td', '', state),
      );
      row.dataset['trade'] = String(trade.tradeId);
      return row;
    });
    this.#body.replaceChildren(...(rows.length > 0 ? rows : [emptyRow(4, 'No trade yet')]));
    this.#drawLine();
  }

  #drawLine() {
    const points = this.#trades.map(({ price, timeMs }) => ({ price, timeMs })).reverse();
    drawPriceLine(byId('chart'), points, this.#priceDecimals);
  }
}

/** @param {string} state */
function stage(state) {
  return state === 'voided' ? SETTLEMENT_STEPS.length : SETTLEMENT_STEPS.indexOf(state);
}
