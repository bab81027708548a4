/** The line of the last trade prices, drawn to the element's own size so that its text is not stretched. */
import { fromUnits, toUnits } from './decimal.js';

const NAMESPACE = 'http://www.w3.org/2000/svg';
const LABEL_WIDTH = 72;
const TOP = 12;
const BOTTOM = 24;
const GRID_LINES = 4;

const timeFormat = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/**
 * @param {HTMLElement} chart an svg element
 * @param {readonly { price: string, timeMs: number }[]} points oldest first
 * @param {number} decimals places of a price
 */
export function drawPriceLine(chart, points, decimals) {
  const { width, height } = chart.getBoundingClientRect();
  const newest = points.at(-1);
  const oldest = points[0];
  if (width === 0 || newest === undefined || oldest === undefined || points.length < 2) {
    chart.replaceChildren();
    return;
  }
  chart.setAttribute('viewBox', `0 0 ${Math.round(width)} ${Math.round(height)}`);
  const prices = points.map(({ price }) => toUnits(price, decimals));
  const ascending = prices.toSorted((a, b) => (a < b ? -1 : 1));
  const low = ascending[0] ?? 0n;
  const high = ascending.at(-1) ?? 0n;
  const range = high > low ? high - low : 1n;
  const plotWidth = width - LABEL_WIDTH;
  const plotHeight = height - TOP - BOTTOM;
  const across = (/** @type {number} */ index) => (plotWidth * index) / (points.length - 1);
  // Only the place on the screen is a floating-point number; a price never is.
  const down = (/** @type {bigint} */ price) =>
    TOP + (plotHeight * Number(((high - price) * 100_000n) / range)) / 100_000;
  const line = prices
    .map((price, index) => `${index === 0 ? 'M' : 'L'}${across(index).toFixed(1)} ${down(price).toFixed(1)}`)
    .join('');
  const last = prices.at(-1) ?? 0n;
  const drawn = [];
  for (let step = 0; step <= GRID_LINES; step++) {
    const price = high - (range * BigInt(step)) / BigInt(GRID_LINES);
    const y = down(price);
    drawn.push(shape('line', { class: 'grid-line', x1: 0, x2: plotWidth, y1: y, y2: y }));
    if (distance(y, down(last)) > 14) drawn.push(label(fromUnits(price, decimals), plotWidth + 8, y + 4));
  }
  drawn.push(
    shape('path', { class: 'area', d: `${line}L${plotWidth} ${height - BOTTOM}L0 ${height - BOTTOM}Z` }),
    shape('path', { class: 'line', d: line }),
    shape('circle', { class: 'last', cx: plotWidth, cy: down(last), r: 3.5 }),
    label(fromUnits(last, decimals), plotWidth + 8, down(last) + 4, 'now'),
    label(timeFormat.format(oldest.timeMs), 0, height - 6),
    label(timeFormat.format(newest.timeMs), plotWidth, height - 6, 'end'),
  );
  chart.replaceChildren(...drawn);
  chart.setAttribute(
    'aria-label',
    `Prices of the last ${points.length} trades: from ${fromUnits(low, decimals)} to ${fromUnits(high, decimals)}, now ${fromUnits(last, decimals)}`,
  );
}

const distance = (/** @type {number} */ a, /** @type {number} */ b) => Math.abs(a - b);

/** @param {string} name @param {Record<string, string | number>} attributes */
function shape(name, attributes) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, String(value));
  return made;
}

/** @param {string} text @param {number} x @param {number} y @param {string} [className] */
function label(text, x, y, className = '') {
  const made = shape('text', { x, y, class: className });
  made.textContent = text;
  return made;
}
