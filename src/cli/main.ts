/** The `tallystick` command: one file per command under commands/, what needs the operator's database under operations/. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addAudit } from './commands/audit.ts';
import { addBalances } from './commands/balances.ts';
import { addBook } from './commands/book.ts';
import { addCancel } from './commands/cancel.ts';
import { addCompletion } from './commands/completion.ts';
import { addDeposit } from './commands/deposit.ts';
import { addExit } from './commands/exit.ts';
import { addJournal } from './commands/journal.ts';
import { addMarkets } from './commands/markets.ts';
import { addOrder } from './commands/order.ts';
import { addOrders } from './commands/orders.ts';
import { addReduce } from './commands/reduce.ts';
import { addTrades } from './commands/trades.ts';
import { addWatch } from './commands/watch.ts';
import { addWithdraw } from './commands/withdraw.ts';
import { EXIT, EXIT_TABLE, explainError } from './exit-codes.ts';
import { addConfigCheck } from './operations/config-check.ts';
import { addDoctor } from './operations/doctor.ts';
import { addMigrate } from './operations/migrate.ts';
import { addOperator } from './operations/operator.ts';
import { addReplay } from './operations/replay.ts';
import { Terminal } from './terminal.ts';

type AddCommand = (program: Command, terminal: Terminal) => void;

const GROUPS: readonly (readonly [heading: string, commands: readonly AddCommand[]])[] = [
  ['Market:', [addMarkets, addBook, addTrades, addWatch]],
  ['Wallet:', [addOrder, addOrders, addReduce, addCancel, addBalances, addDeposit, addWithdraw, addExit]],
  ['Audit:', [addAudit, addJournal]],
  ['Operation:', [addDoctor, addConfigCheck, addMigrate, addReplay, addOperator]],
  ['Other:', [addCompletion]],
];

const HELP = `
Environment:
  TALLYSTICK_URL          where the API is; http://127.0.0.1:3000 when absent
  TALLYSTICK_PRIVATE_KEY  the wallet's key; or a file named by TALLYSTICK_KEY_FILE or --key-file
  TALLYSTICK_RPC_URL      a node of the vault's chain
  NO_COLOR                no colours
  Operation reads the services' settings: see "tallystick config check".

Exit codes:
${EXIT_TABLE.map(([code, meaning]) => `  ${String(code).padEnd(4)} ${meaning}`).join('\n')}

Examples:
  tallystick markets
  tallystick order buy 0.5 WETH-USDC --price 2500 --wait
  tallystick audit --rpc http://127.0.0.1:8545 --vault 0x… --journal http://127.0.0.1:3000
  tallystick operator resume-withdrawals --reason "the token's rebase was booked"`;

function createProgram(terminal: Terminal): Command {
  const program = new Command('tallystick')
    .description('Trade at, leave, audit and operate a Tallystick exchange.')
    .version(readVersion())
    .option('--json', 'one line of JSON on standard output (of each event with watch)')
    .configureHelp({ showGlobalOptions: true })
    .helpCommand(false)
    .showHelpAfterError('(--help shows what there is)')
    .addHelpText('after', HELP);
  program.hook('preAction', () => {
    terminal.json = program.opts<{ json?: boolean }>().json === true;
  });
  for (const [heading, commands] of GROUPS) {
    program.commandsGroup(heading);
    for (const add of commands) add(program, terminal);
  }
  exitOverrideAll(program);
  return program;
}

/** Commander would end the process with 1 for a wrong use; it is 2 here. */
function exitOverrideAll(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) exitOverrideAll(child);
}

function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

async function main(): Promise<void> {
  const terminal = new Terminal();
  // Whoever reads has seen enough: `tallystick trades WETH-USDC | head`.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.internal),
  );
  process.on('uncaughtException', (error) => {
    terminal.fail(explainError(error));
    process.exit(terminal.exitCode);
  });
  try {
    await createProgram(terminal).parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has said what is wrong, or has shown the help that was asked for.
      terminal.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    } else terminal.fail(explainError(error));
  }
  process.exitCode = terminal.exitCode;
  // Idle keep-alive connections of fetch would keep the process for seconds; what was printed goes out first.
  process.stdout.write('', () => process.exit());
}

await main();
