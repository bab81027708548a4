import type { Command } from 'commander';
import { type AuditProgress, type AuditReport, auditChain } from '../../auditor/audit-chain.ts';
import { recoveryWarning } from '../../chain/recover.ts';
import type { Address } from '../../domain/units.ts';
import { EXIT, UsageError } from '../exit-codes.ts';
import { readPublishedJournal } from '../journal-source.ts';
import { addressValue, httpUrl, wholeNumber } from '../options.ts';
import { readReceiptFile } from '../receipt-file.ts';
import { styled, type Terminal } from '../terminal.ts';

type AuditOptions = { rpc: string; vault: Address; journal?: string; receipt?: string; from?: number; to?: number };

/** Further failures are counted; --json gives them all. */
const FAILURES_SHOWN = 50;
const BLOCK_MAX = Number.MAX_SAFE_INTEGER;

export function addAudit(program: Command, terminal: Terminal): void {
  program
    .command('audit')
    .description('check the whole exchange from the chain alone, and with the journal also that matching was fair')
    .requiredOption('--rpc <url>', 'a node that you trust, with the history since the deployment', httpUrl)
    .requiredOption('--vault <address>', "the vault's address", addressValue)
    .option('--journal <file-or-url>', "the public journal: a file, or the API's address")
    .option('--receipt <file>', 'answers of the API to placed orders, to be looked for in the journal')
    .option(
      '--from <block>',
      "check orders' signatures from this block on; before it the vault's word is taken for them (default: check all)",
      wholeNumber(0, BLOCK_MAX),
    )
    .option('--to <block>', "last block; the chain's head when absent", wholeNumber(0, BLOCK_MAX))
    .addHelpText(
      'after',
      '\nExit code 0: everything holds. 1: something does not. 3: not everything could be read.\n\nExample:\n  tallystick audit --rpc http://127.0.0.1:8545 --vault 0x… --journal https://exchange.example --json',
    )
    .action(async ({ rpc, vault, journal, receipt, from, to }: AuditOptions) => {
      if (receipt !== undefined && journal === undefined) throw new UsageError('--receipt needs --journal');
      if (from !== undefined && to !== undefined && from > to) throw new UsageError('--from is above --to');
      const slow = recoveryWarning();
      if (slow !== undefined) terminal.progress(slow);
      let reportedAt = performance.now();
      const report = await auditChain({
        rpcUrl: rpc,
        vault,
        ...(journal === undefined ? {} : { journal: readPublishedJournal(journal) }),
        ...(receipt === undefined ? {} : { acknowledgements: readReceiptFile(receipt) }),
        ...(from === undefined ? {} : { fromBlock: from }),
        ...(to === undefined ? {} : { toBlock: to }),
        onProgress: (progress) => {
          const line = progressLine(progress);
          if (process.stderr.isTTY) return terminal.transient(line);
          if (performance.now() - reportedAt < 5_000) return;
          reportedAt = performance.now();
          terminal.progress(line);
        },
      });
      terminal.transient('');
      terminal.show({ json: report, text: reportText(report), exitCode: EXIT_OF[report.verdict] });
    });
}

function progressLine(progress: AuditProgress): string {
  switch (progress.stage) {
    case 'events':
      return `block ${progress.block} of ${progress.toBlock}, ${progress.events} events, ${progress.fills} fills`;
    case 'storage':
      return `storage: ${progress.accounts} of ${progress.ofAccounts} accounts`;
    case 'journal':
      return `journal: ${progress.commands} commands replayed`;
  }
}

const EXIT_OF: Readonly<Record<AuditReport['verdict'], number>> = {
  ok: EXIT.ok,
  failed: EXIT.wrong,
  incomplete: EXIT.incomplete,
};

function reportText(report: AuditReport): string {
  const { figures, failures } = report;
  const lines = [
    verdictLine(report),
    '',
    `  blocks ${figures.fromBlock} to ${figures.toBlock} (${figures.toBlockHash}), ${figures.seconds.toFixed(1)} s`,
    `  ${figures.events} events: ${figures.deposits} deposits, ${figures.withdrawals} withdrawals, ${figures.exits} exits, ${figures.batches} batches`,
    `  ${figures.orders} orders, ${figures.fills} fills (${figures.fillsExecuted} executed, ${figures.fillsSkipped} skipped)`,
    ...(figures.signaturesTrusted === 0
      ? []
      : [
          `  ${figures.signaturesTrusted} orders were settled before block ${figures.fromBlock}: the vault's word was taken for their signatures, everything else was derived`,
        ]),
    `  ${figures.accounts} accounts, ${figures.balancesCompared} balances compared with the vault's storage`,
    ...(figures.journalCommands === undefined
      ? ['  no journal was given: whether matching was fair was not checked']
      : [`  journal of ${figures.journalCommands} commands replayed, state ${figures.stateHash}`]),
    ...((figures.journalFactsBeyond ?? 0) === 0
      ? []
      : [`  ${figures.journalFactsBeyond} facts of the journal come after the last block and are not proven`]),
    ...figures.assets.map(
      ({ asset, token, held, booked }) =>
        `  asset ${asset} (${token}): holds ${held}, owes ${booked} (token base units)`,
    ),
    '',
    ...report.checks.map(({ description, made, failed }) => {
      const mark = failed === 0 ? styled('green', '✓') : styled('red', '✗');
      return `  ${mark} ${description} ${styled('dim', failed === 0 ? `(${made})` : `(${failed} of ${made} failed)`)}`;
    }),
  ];
  if (failures.length > 0) lines.push('', styled('bold', 'Failures'));
  for (const { check, transaction, order, reason } of failures.slice(0, FAILURES_SHOWN)) {
    lines.push(`  ${styled('red', check)}: ${reason}`);
    if (transaction !== undefined) lines.push(`    transaction ${transaction}`);
    if (order !== undefined) lines.push(`    order or account ${order}`);
  }
  if (failures.length > FAILURES_SHOWN) lines.push(`  and ${failures.length - FAILURES_SHOWN} more; see --json`);
  return lines.join('\n');
}

function verdictLine({ verdict, incomplete, checks }: AuditReport): string {
  const made = checks.reduce((sum, check) => sum + check.made, 0);
  if (verdict === 'ok') return styled('green', `OK: all ${made} checks hold.`);
  if (verdict === 'incomplete') {
    return styled('yellow', `INCOMPLETE: nothing wrong was found, but not everything could be read: ${incomplete}`);
  }
  const failed = checks.reduce((sum, check) => sum + check.failed, 0);
  const also = incomplete === undefined ? '' : ` And not everything could be read: ${incomplete}`;
  return styled('red', `FAILED: ${failed} of ${made} checks do not hold.${also}`);
}
