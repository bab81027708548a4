import assert from 'node:assert/strict';
import { type Browser, chromium, type Page } from 'playwright-core';
import { findProgram } from '../../scripts/find-program.ts';
import { useRunningExchange } from '../support/running-exchange.ts';

const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

describe('the web page in Chromium', function () {
  this.timeout(60_000);
  const { exchange } = useRunningExchange({ demoTraders: true });
  let browser: Browser;
  let page: Page;
  const complaints: string[] = [];

  before(async () => {
    const executablePath = findProgram('chromium');
    assert.ok(executablePath, 'no Chromium was found; install it, e.g. "apt-get install chromium"');
    browser = await chromium.launch({ executablePath, args: CHROMIUM_FLAGS });
    page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    page.setDefaultTimeout(45_000);
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(`${exchange().url}/#WETH-USDC`);
  });
  after(async () => {
    await browser?.close();
  });

  const textOf = async (selector: string): Promise<string> =>
    (await page.locator(selector).textContent())?.trim() ?? '';

  it('shows the live book with both sides, the spread and running totals', async () => {
    await page.locator('#connection.good').waitFor();
    await page.locator('#bids .level').nth(2).waitFor();
    await page.locator('#asks .level').nth(2).waitFor();
    const numbers = async (selector: string): Promise<number[]> =>
      (await page.locator(selector).allTextContents()).map((text) => Number(text.replaceAll(',', '')));
    // One read of the page, so that no change of the book comes in between.
    const book = await page.evaluate(`['asks', 'bids'].map((side) => document.getElementById(side).innerText)`);
    const [asks, bids] = (book as string[]).map((text) =>
      text
        .trim()
        .split('\n')
        .map((row) => row.split('\t').map((cell) => Number(cell.replaceAll(',', '')))),
    ) as [number[][], number[][]];
    const prices = [...asks, ...bids].map(([price]) => price ?? Number.NaN);
    assert.deepEqual(
      prices,
      prices.toSorted((a, b) => b - a),
      'prices fall from the highest ask to the lowest bid',
    );
    const [bestBid] = bids;
    assert.equal(bestBid?.[1], bestBid?.[2], 'the total starts with the best level');
    assert.ok((await numbers('#bids .level td:nth-child(2)')).every((size) => size > 0));
    await page.locator('#spread', { hasText: 'bp' }).waitFor();
  });

  it('shows trades and follows one of them until it is final', async () => {
    const trade = page.locator('#trades tr[data-trade]').first();
    const tradeId = await trade.getAttribute('data-trade');
    const settled = page.locator(`#trades tr[data-trade="${tradeId}"] .state.final`);
    await settled.waitFor();
    assert.equal(await settled.locator('i.done').count(), 5);
    await page.locator('#chart path.line').waitFor();
  });

  it('shows a final batch with its gas per trade and transaction', async () => {
    const batch = page.locator('#batches tr[data-state="final"]').first();
    await batch.waitFor();
    const [, , trades, gasPerTrade] = await batch.locator('td').allTextContents();
    assert.ok(Number(trades) > 0);
    assert.match(gasPerTrade ?? '', /^\d{1,3},\d{3}$/);
    assert.match((await batch.locator('a.hash').getAttribute('title')) ?? '', /^0x[0-9a-f]{64}$/);
  });

  it('says that the halves fit, at which block, and what the vault holds', async () => {
    await page.locator('#verdict.good').waitFor();
    assert.match(await textOf('#verdict'), /^The halves fit: \d+ accounts? at block [\d,]+$/);
    assert.equal(await textOf('#drift'), '0');
    assert.equal(await textOf('#withdrawals'), 'open');
    assert.deepEqual(await page.locator('#solvency tr td:first-child').allTextContents(), ['WETH', 'USDC', 'WBTC']);
    assert.deepEqual(await page.locator('#solvency .good').allTextContents(), ['✓', '✓', '✓']);
    assert.match(await textOf('#vault'), /^0x[0-9a-fA-F]{40}$/);
  });

  it('switches the market and keeps the choice in the address', async () => {
    await page.locator('#market').selectOption('WBTC-USDC');
    await page.locator('#volume', { hasText: 'WBTC' }).waitFor();
    assert.match(await page.title(), /^[\d,]+ WBTC-USDC · Tallystick$/);
    assert.ok(page.url().endsWith('#WBTC-USDC'));
    await page.locator('#bids .level').first().waitFor();
    await page.locator('#market').selectOption('WETH-USDC');
  });

  it('fits a phone without sideways scrolling', async () => {
    await page.setViewportSize({ width: 360, height: 780 });
    const [contentWidth, width] = (await page.evaluate(
      '[document.documentElement.scrollWidth, innerWidth]',
    )) as number[];
    assert.equal(contentWidth, width);
    await page.setViewportSize({ width: 1440, height: 900 });
  });

  it('runs without a complaint of the browser', () => {
    assert.deepEqual(complaints, []);
  });

  it('says that it is stale when the server stops', async () => {
    assert.equal(await page.locator('#stale').isVisible(), false);
    await exchange().stop();
    await page.locator('#stale').waitFor({ state: 'visible' });
    assert.equal(await textOf('#connection'), 'connection lost');
  });
});
