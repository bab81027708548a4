/**
 * Settings of every process, read from the environment once, checked by a schema; all errors are told at once.
 * Secrets come from the environment or from files named by it, never from argv, and are never logged.
 */
import { envSchema } from 'env-schema';
import { type Static, Type } from 'typebox';
import { ExchangeError } from '../domain/errors.ts';
import type { Address, Hex } from '../domain/units.ts';

const ADDRESS = '^0x[0-9a-fA-F]{40}$';
const PRIVATE_KEY = '^0x[0-9a-fA-F]{64}$';

const Settings = Type.Object({
  HOST: Type.String({ default: '127.0.0.1', description: 'Address the API listens on.' }),
  PORT: Type.Integer({
    default: 3000,
    minimum: 0,
    maximum: 65535,
    description: 'Port of API and web page; 0 picks one.',
  }),
  OPERATIONS_PORT: Type.Integer({
    default: 3001,
    minimum: 0,
    maximum: 65535,
    description: 'Port of /livez, /readyz and /metrics; 0 picks one.',
  }),
  DATABASE_URL: Type.Optional(
    Type.String({ pattern: '^postgres(ql)?://', description: 'PostgreSQL; embedded when absent.' }),
  ),
  RPC_URL: Type.Optional(
    Type.String({
      pattern: '^https?://',
      description: 'EVM nodes, comma-separated, first preferred; a local node when absent.',
    }),
  ),
  REDIS_URL: Type.Optional(
    Type.String({ pattern: '^rediss?://', description: 'Redis between processes; in-process when absent.' }),
  ),
  TRANSPORT_SECRET: Type.Optional(
    Type.String({
      minLength: 32,
      description: 'Seals what passes through Redis; the same for gateways and engines, unknown to Redis.',
    }),
  ),
  VAULT_ADDRESS: Type.Optional(
    Type.String({
      pattern: '^0x[0-9a-fA-F]{40}$',
      description: 'Deployed vault; the one recorded in the database when absent.',
    }),
  ),
  ENGINE_PRIVATE_KEY: Type.Optional(
    Type.String({ pattern: PRIVATE_KEY, description: 'Signs batches and receipts, unless a remote signer does.' }),
  ),
  SUBMITTER_PRIVATE_KEY: Type.Optional(Type.String({ pattern: PRIVATE_KEY, description: 'Pays the gas of batches.' })),
  ENGINE_SIGNER_URL: Type.Optional(
    Type.String({
      pattern: '^https?://',
      description: 'Remote signer (eth_signTypedData) for batches and receipts; needs ENGINE_ADDRESS.',
    }),
  ),
  ENGINE_ADDRESS: Type.Optional(
    Type.String({ pattern: ADDRESS, description: "The engine key's account at the remote signer." }),
  ),
  SUBMITTER_SIGNER_URL: Type.Optional(
    Type.String({
      pattern: '^https?://',
      description: 'Remote signer (eth_signTransaction); needs SUBMITTER_ADDRESS.',
    }),
  ),
  SUBMITTER_ADDRESS: Type.Optional(
    Type.String({ pattern: ADDRESS, description: "The submitter's account at the remote signer." }),
  ),
  API_KEY_SECRET: Type.Optional(
    Type.String({ minLength: 32, description: 'Derives the secrets of API keys; changing it ends them all.' }),
  ),
  FINALITY: Type.Optional(
    Type.String({ pattern: '^(finalized|[0-9]{1,4})$', description: '`finalized`, or a number of confirmations.' }),
  ),
  JOURNAL_DELAY_SECONDS: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 604_800,
      description: 'Journal rows are public this long after their commit; 900, or 0 on the local chain, when absent.',
    }),
  ),
  TRUST_PROXY: Type.Optional(
    Type.String({
      pattern: '^([0-9]{1,2}|[0-9a-fA-F.:/, ]+)$',
      description: 'Proxies in front: their number, or their addresses.',
    }),
  ),
  DATA_DIRECTORY: Type.String({ default: '.tallystick', description: 'Where embedded services keep their files.' }),
  DEMO_TRADERS: Type.Optional(
    Type.Union([Type.Literal('on'), Type.Literal('off')], {
      description: 'Demo makers and takers (local chain only).',
    }),
  ),
  SEAL_AGE_MS: Type.Integer({
    default: 3000,
    minimum: 50,
    maximum: 600_000,
    description: 'A batch is sealed when its oldest trade is this old.',
  }),
  SEAL_WITHDRAWAL_AGE_MS: Type.Optional(
    Type.Integer({
      minimum: 50,
      maximum: 3_600_000,
      description:
        'A batch is sealed when its oldest withdrawal is this old; 60000, or SEAL_AGE_MS on the local chain, when absent.',
    }),
  ),
  MAKER_FEE_PPM: Type.Integer({
    default: 200,
    minimum: 0,
    maximum: 50_000,
    description: "Maker fee of new markets, for the journal's first start; later the operator command sets it.",
  }),
  TAKER_FEE_PPM: Type.Integer({
    default: 500,
    minimum: 0,
    maximum: 50_000,
    description: "Taker fee of new markets, for the journal's first start; later the operator command sets it.",
  }),
  ACCEPT_CLOCK: Type.Optional(
    Type.Union([Type.Literal('on'), Type.Literal('off')], {
      description: "Start although this machine's clock and the database's are apart; orders expire by it.",
    }),
  ),
  SEAL_TRADES: Type.Integer({
    default: 100,
    minimum: 1,
    maximum: 200,
    description: 'A batch is sealed at this many trades.',
  }),
  SNAPSHOT_COMMANDS: Type.Integer({
    default: 50_000,
    minimum: 100,
    maximum: 10_000_000,
    description: 'Commands between two snapshots of the engine.',
  }),
  LOG_LEVEL: Type.String({ default: 'info', pattern: '^(trace|debug|info|warn|error|fatal|silent)$' }),
});

export type Settings = Readonly<Static<typeof Settings>>;

/**
 * @param environment usually `process.env`
 * @throws ExchangeError CONFIGURATION naming every variable that is wrong and what it should be.
 */
export function readSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  );
  try {
    return envSchema<Settings>({ schema: Settings, data: given, env: false, dotenv: false });
  } catch (cause) {
    const errors = (cause as { errors?: { instancePath: string; message?: string; params?: unknown }[] }).errors ?? [];
    const lines = errors.map(({ instancePath, message }) => {
      const name = instancePath.replace('/', '');
      const property = Settings.properties[name as keyof typeof Settings.properties] as
        | { description?: string }
        | undefined;
      return `${name}: ${message ?? 'is not valid'}${property?.description === undefined ? '' : `. ${property.description}`}`;
    });
    throw new ExchangeError(
      'CONFIGURATION',
      `The environment is not valid:\n  ${lines.join('\n  ') || String(cause)}`,
      { cause },
    );
  }
}

export const rpcUrls = (settings: Settings): string[] =>
  (settings.RPC_URL ?? '')
    .split(',')
    .map((url) => url.trim())
    .filter(Boolean);
export const addressSetting = (value: string | undefined): Address | undefined =>
  value?.toLowerCase() as Address | undefined;
export const keySetting = (value: string | undefined): Hex | undefined => value?.toLowerCase() as Hex | undefined;
