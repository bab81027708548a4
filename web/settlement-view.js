/** The chain's side: batches with their gas, and whether both halves of the stick fit. */
import { grouped, groupedInteger, toUnits } from './decimal.js';
import { byId, element, emptyRow, hashLink, progress, setText } from './elements.js';

const BATCH_STEPS = ['sealed', 'submitted', 'included', 'final'];
const BATCHES_SHOWN = 18;

export class BatchesView {
  #body = byId('batches');
  /** By id. @type {Map<number, any>} */
  #batches = new Map();

  /** @param {readonly any[]} batches */
  replace(batches) {
    this.#batches.clear();
    this.change(batches);
  }

  /** @param {readonly any[]} batches */
  change(batches) {
    for (const batch of batches) this.#batches.set(batch.batchId, batch);
    const newestFirst = [...this.#batches.values()].sort((a, b) => b.batchId - a.batchId);
    for (const old of newestFirst.splice(BATCHES_SHOWN)) this.#batches.delete(old.batchId);
    const rows = newestFirst.map(batchRow);
    this.#body.replaceChildren(...(rows.length > 0 ? rows : [emptyRow(5, 'No batch yet')]));
  }
}

/** @param {any} batch */
function batchRow(batch) {
  const { batchId, state, trades, voided, withdrawals, gasUsed, transactionHash } = batch;
  const name = document.createElement('a');
  name.href = `/api/v1/batches/${batchId}/fills`;
  name.textContent = `#${batchId}`;
  const count = element('td', '', groupedInteger(trades));
  const asides = [
    ...(voided > 0 ? [`${voided} voided`] : []),
    ...(withdrawals > 0 ? [`${withdrawals} withdrawal${withdrawals === 1 ? '' : 's'}`] : []),
  ];
  if (asides.length > 0) count.title = asides.join(', ');
  if (voided > 0) count.classList.add('sell');
  const gasPerTrade = gasUsed === null || trades === 0 ? '–' : groupedInteger(BigInt(gasUsed) / BigInt(trades));
  const transaction =
    transactionHash === null ? '–' : hashLink(transactionHash, `/api/v1/transactions/${transactionHash}/fills`);
  const row = element(
    'tr',
    '',
    element('td', '', name),
    element('td', 'left', progress(BATCH_STEPS, state)),
    count,
    element('td', '', gasPerTrade),
    element('td', '', transaction),
  );
  row.dataset['state'] = state;
  return row;
}

export class ReconciliationView {
  #verdict = byId('verdict');
  #stick = byId('stick');

  /** The answer of GET /reconciliation. @param {any} status */
  show({ latest, comparisons, withdrawalsHalted, openIncidents }) {
    const halted = byId('withdrawals');
    setText(halted, withdrawalsHalted === null ? 'open' : `halted: ${withdrawalsHalted}`);
    halted.className = withdrawalsHalted === null ? 'good' : 'bad';
    setText(byId('incidents'), openIncidents.length === 0 ? 'none open' : `${openIncidents.length} open`);
    byId('incidents').className = openIncidents.length === 0 ? '' : 'bad';
    if (latest === null) {
      this.#judge('waiting', 'No comparison yet: the first batch has to be final');
      return;
    }
    const drifts = latest.drift.length;
    const insolvent = latest.solvency.filter((/** @type {any} */ { solvent }) => !solvent);
    const accounts = `${groupedInteger(latest.accountsCompared)} account${latest.accountsCompared === 1 ? '' : 's'}`;
    if (latest.drifted)
      this.#judge(
        'bad',
        `The halves do not fit: ${drifts} balance${drifts === 1 ? '' : 's'} differ at block ${groupedInteger(latest.blockNumber)}`,
      );
    else if (insolvent.length > 0)
      this.#judge(
        'bad',
        `The vault holds too little ${insolvent.map((/** @type {any} */ { asset }) => asset).join(', ')}`,
      );
    else this.#judge('good', `The halves fit: ${accounts} at block ${groupedInteger(latest.blockNumber)}`);
    setText(byId('accounts'), `${groupedInteger(latest.balancesCompared)} in ${accounts}`);
    setText(byId('comparisons'), groupedInteger(comparisons));
    setText(byId('drift'), latest.drifted ? latest.drift.map(driftText).join('; ') : '0');
    byId('drift').className = latest.drifted ? 'bad' : 'good';
    setText(byId('block'), `${groupedInteger(latest.blockNumber)}, after batch ${groupedInteger(latest.batchId)}`);
    byId('solvency').replaceChildren(...latest.solvency.map(solvencyRow));
  }

  /** @param {'good' | 'bad' | 'waiting'} kind @param {string} text */
  #judge(kind, text) {
    setText(this.#verdict, text);
    this.#verdict.className = `verdict ${kind}`;
    this.#stick.setAttribute('class', `stick ${kind}`);
  }
}

/** @param {any} drift */
function driftText({ account, asset, ledger, vault }) {
  return `${account}: ${ledger} ${asset} in the ledger, ${vault} in the vault`;
}

/** @param {any} row */
function solvencyRow({ asset, booked, held, surplus, solvent }) {
  const sign = element('td', solvent ? 'good' : 'bad', solvent ? '✓' : '✗');
  sign.title = solvent ? 'solvent' : 'insolvent';
  const heldCell = element('td', '', grouped(held));
  if (toUnits(surplus, 18) !== 0n) heldCell.title = `surplus ${surplus}`;
  return element('tr', '', element('td', '', asset), element('td', '', grouped(booked)), heldCell, sign);
}
