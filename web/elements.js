/** Small ways to fill the page. Text goes in as text, never as markup. */

/** The element with an id. @throws Error when the page has none */
export function byId(/** @type {string} */ id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

/**
 * An element with a class and children; strings become text nodes.
 * @param {string} tag
 * @param {string} className
 * @param {...(Node | string)} children
 */
export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  made.append(...children);
  return made;
}

/** Sets text only when it changes, so that selections and screen readers are left alone. */
export function setText(/** @type {Element} */ target, /** @type {string} */ text) {
  if (target.textContent !== text) target.textContent = text;
}

/** One row that says why a table is empty. */
export function emptyRow(/** @type {number} */ columns, /** @type {string} */ text) {
  const cell = element('td', '', text);
  cell.setAttribute('colspan', String(columns));
  return element('tr', 'empty', cell);
}

/**
 * How far something has come along named steps: a dot per step and the word.
 * @param {readonly string[]} steps
 * @param {string} state one of `steps`, or another word, shown as an end outside of them
 */
export function progress(steps, state) {
  const reached = steps.indexOf(state);
  const dots = element('span', 'steps');
  dots.setAttribute('aria-hidden', 'true');
  for (const index of steps.keys()) dots.append(element('i', index <= reached ? 'done' : ''));
  return element('span', `state ${state}`, dots, element('span', 'word', state));
}

/**
 * A long hash, shortened, whole in its title.
 * @param {string} hash
 * @param {string} href
 */
export function hashLink(hash, href) {
  const link = document.createElement('a');
  link.href = href;
  link.title = hash;
  link.className = 'hash';
  link.textContent = `${hash.slice(0, 6)}…${hash.slice(-4)}`;
  return link;
}

const timeFormat = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** The reader's local time of a moment in milliseconds. */
export function clockTime(/** @type {number} */ timeMs) {
  const time = element('time', '', timeFormat.format(timeMs));
  time.setAttribute('datetime', new Date(timeMs).toISOString());
  return time;
}
