/** The order book: price levels of both sides with their running totals, and the spread between them. */
import { fromUnits, placesOf, toUnits } from './decimal.js';
import { byId, element, setText } from './elements.js';

const LEVELS_SHOWN = 15;

export class BookView {
  #asksBody = byId('asks');
  #bidsBody = byId('bids');
  #middle = byId('mid');
  #spread = byId('spread');
  /** Price in units → size in units. @type {Map<bigint, bigint>} */
  #bids = new Map();
  /** @type {Map<bigint, bigint>} */
  #asks = new Map();
  #priceDecimals = 0;
  #sizeDecimals = 0;
  #isDrawn = true;

  /** @param {{ tickSize: string, lotSize: string }} market */
  showMarket(market) {
    this.#priceDecimals = placesOf(market.tickSize);
    this.#sizeDecimals = placesOf(market.lotSize);
    this.replace({ bids: [], asks: [] });
  }

  /** @param {{ bids: [string, string][], asks: [string, string][] }} depth */
  replace(depth) {
    this.#bids.clear();
    this.#asks.clear();
    this.change(depth);
  }

  /** Levels with their new size; "0" removes the level. @param {{ bids: [string, string][], asks: [string, string][] }} levels */
  change({ bids, asks }) {
    this.#set(this.#bids, bids);
    this.#set(this.#asks, asks);
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    // Several changes within a frame are drawn once.
    requestAnimationFrame(() => {
      this.#isDrawn = true;
      this.#draw();
    });
  }

  /** @param {Map<bigint, bigint>} side @param {[string, string][]} levels */
  #set(side, levels) {
    for (const [price, size] of levels) {
      const priceUnits = toUnits(price, this.#priceDecimals);
      const sizeUnits = toUnits(size, this.#sizeDecimals);
      if (sizeUnits === 0n) side.delete(priceUnits);
      else side.set(priceUnits, sizeUnits);
    }
  }

  #draw() {
    const bids = best(this.#bids, (a, b) => (a > b ? -1 : 1));
    const asks = best(this.#asks, (a, b) => (a < b ? -1 : 1));
    const deepest = [bids.at(-1)?.total ?? 0n, asks.at(-1)?.total ?? 0n].reduce((a, b) => (a > b ? a : b));
    this.#bidsBody.replaceChildren(...this.#rows(bids, 'bid', deepest));
    // The best ask stands lowest, next to the best bid.
    this.#asksBody.replaceChildren(...this.#rows(asks, 'ask', deepest).reverse());
    const bid = bids[0]?.price;
    const ask = asks[0]?.price;
    if (bid === undefined || ask === undefined) {
      setText(this.#middle, bid === undefined && ask === undefined ? 'The book is empty' : 'One side is empty');
      setText(this.#spread, '–');
      return;
    }
    const spread = ask - bid;
    const middle = fromUnits((bid + ask) * 5n, this.#priceDecimals + 1);
    const perMyriad = fromUnits((spread * 1_000_000n) / ask, 2);
    this.#middle.replaceChildren(
      element('span', 'middle', middle.replace(/0$/, '')),
      element('span', 'unit', `spread ${fromUnits(spread, this.#priceDecimals)}`),
    );
    setText(this.#spread, `${fromUnits(spread, this.#priceDecimals)} · ${perMyriad} bp`);
  }

  /**
   * @param {readonly { price: bigint, size: bigint, total: bigint }[]} levels
   * @param {'bid' | 'ask'} kind
   * @param {bigint} deepest
   */
  #rows(levels, kind, deepest) {
    return levels.map(({ price, size, total }) => {
      const row = element(
        'tr',
        `level ${kind}`,
        element('td', '', fromUnits(price, this.#priceDecimals)),
        element('td', '', fromUnits(size, this.#sizeDecimals)),
        element('td', '', fromUnits(total, this.#sizeDecimals)),
      );
      row.style.setProperty('--depth', `${(total * 100n) / (deepest || 1n)}%`);
      return row;
    });
  }
}

/** @param {Map<bigint, bigint>} side @param {(a: bigint, b: bigint) => number} order */
function best(side, order) {
  let total = 0n;
  return [...side.keys()]
    .sort(order)
    .slice(0, LEVELS_SHOWN)
    .map((price) => {
      const size = side.get(price) ?? 0n;
      total += size;
      return { price, size, total };
    });
}
