/** The live page: wires the stream and the REST reads to the views. Nothing here is trusted with keys; it only shows. */
import { get } from './api.js';
import { BookView } from './book-view.js';
import { grouped, percentChange, placesOf, withPlaces } from './decimal.js';
import { byId, setText } from './elements.js';
import { BatchesView, ReconciliationView } from './settlement-view.js';
import { Stream } from './stream.js';
import { TradesView } from './trades-view.js';

const TRADES_WANTED = 100;
/** Settlement moves with blocks; asking more often than this shows nothing new. */
const SETTLEMENT_INTERVAL_MS = 1_500;
const LISTINGS_INTERVAL_MS = 30_000;
const RETRY_MS = 1_000;

const views = {
  book: new BookView(),
  trades: new TradesView(),
  batches: new BatchesView(),
  reconciliation: new ReconciliationView(),
};
const select = /** @type {HTMLSelectElement} */ (byId('market'));
/** @type {any[]} */
let markets = [];
/** @type {any} */
let shown;
/** @type {(() => void)[]} */
let unfollow = [];
const health = { isConnected: false, isAnswering: true, wasConnected: false };

const socketUrl = new URL('/ws', location.href);
socketUrl.protocol = socketUrl.protocol === 'https:' ? 'wss:' : 'ws:';
const stream = new Stream(socketUrl.href, (isConnected) => {
  health.isConnected = isConnected;
  health.wasConnected ||= isConnected;
  showHealth();
});

function showHealth() {
  const isLive = health.isConnected && health.isAnswering;
  const chip = byId('connection');
  setText(chip, isLive ? 'live' : health.wasConnected ? 'connection lost' : 'connecting');
  chip.className = `chip ${isLive ? 'good' : health.wasConnected ? 'bad' : 'waiting'}`;
  const isStale = !isLive && health.wasConnected;
  byId('stale').hidden = !isStale;
  document.body.classList.toggle('is-stale', isStale);
}

/** @param {any} ticker */
function showTicker(ticker) {
  const last = ticker?.lastPrice ?? null;
  const price = last === null ? '–' : withPlaces(last, placesOf(shown.tickSize));
  setText(byId('last'), price);
  const change = percentChange(ticker?.open ?? null, last);
  const cell = byId('change');
  setText(cell, change?.text ?? '–');
  cell.className = change?.isRise ? 'good' : change?.isFall ? 'bad' : '';
  setText(byId('volume'), ticker === null ? '–' : `${grouped(ticker.volume)} ${shown.baseAsset}`);
  document.title = last === null ? 'Tallystick' : `${price} ${shown.symbol} · Tallystick`;
}

/** @param {string} symbol */
function showMarket(symbol) {
  const market = markets.find((listed) => listed.symbol === symbol) ?? markets[0];
  if (market === undefined || market.symbol === shown?.symbol) return;
  shown = market;
  select.value = market.symbol;
  history.replaceState(null, '', `#${market.symbol}`);
  for (const unit of document.querySelectorAll('.unit.base')) setText(unit, market.baseAsset);
  for (const unit of document.querySelectorAll('.unit.quote')) setText(unit, market.quoteAsset);
  for (const stop of unfollow) stop();
  views.book.showMarket(market);
  views.trades.showMarket(market);
  showTicker(null);
  const topic = (/** @type {string} */ channel) => ({ channel, market: market.symbol });
  unfollow = [
    stream.follow(topic('depth'), {
      onSnapshot: (depth) => views.book.replace(depth),
      onDelta: (depth) => views.book.change(depth),
    }),
    stream.follow(topic('trades'), {
      onSnapshot: ({ trades }) => views.trades.addMatched(trades),
      onDelta: ({ trades }) => views.trades.addMatched(trades),
    }),
    stream.follow(topic('ticker'), {
      onSnapshot: ({ ticker }) => showTicker(ticker),
      onDelta: ({ ticker }) => showTicker(ticker),
    }),
  ];
  refreshTrades().catch(reportNoAnswer);
}

async function refreshTrades() {
  const market = shown?.symbol;
  if (market === undefined) return;
  const { data } = await get(`/markets/${market}/trades?limit=${TRADES_WANTED}`);
  if (shown.symbol === market) views.trades.addSettled(data);
}

async function refreshListings() {
  const { data } = await get('/markets');
  if (data.length === 0) return;
  markets = data;
  if (
    [...select.options].map(({ value }) => value).join() !== data.map((/** @type {any} */ { symbol }) => symbol).join()
  ) {
    select.replaceChildren(...data.map((/** @type {any} */ { symbol }) => new Option(symbol, symbol)));
    select.value = shown?.symbol ?? data[0].symbol;
  }
  showMarket(shown?.symbol ?? decodeURIComponent(location.hash.slice(1)));
}

async function showContracts() {
  const contracts = await get('/contracts');
  setText(byId('vault'), contracts.vault);
  setText(byId('chain'), String(contracts.chainId));
}

async function refreshSettlement() {
  views.reconciliation.show(await get('/reconciliation'));
  if (views.trades.hasUnsettled) await refreshTrades();
}

function reportNoAnswer() {
  health.isAnswering = false;
  showHealth();
}

/**
 * Does the work now and then again after each pause that it asks for; after a failure soon, and the page says that it is stale.
 * @param {() => Promise<number>} work
 */
async function keepDoing(work) {
  for (;;) {
    let pauseMs = RETRY_MS;
    try {
      pauseMs = await work();
      if (!health.isAnswering) {
        health.isAnswering = true;
        showHealth();
      }
    } catch {
      reportNoAnswer();
    }
    await new Promise((wake) => setTimeout(wake, pauseMs));
  }
}

select.addEventListener('change', () => showMarket(select.value));
addEventListener('hashchange', () => showMarket(decodeURIComponent(location.hash.slice(1))));
stream.follow(
  { channel: 'batches' },
  {
    onSnapshot: ({ batches }) => views.batches.replace(batches),
    onDelta: ({ batches }) => views.batches.change(batches),
  },
);
void keepDoing(async () => {
  if (markets.length === 0) await showContracts();
  await refreshListings();
  return markets.length === 0 ? RETRY_MS : LISTINGS_INTERVAL_MS;
});
void keepDoing(async () => {
  await refreshSettlement();
  return SETTLEMENT_INTERVAL_MS;
});
