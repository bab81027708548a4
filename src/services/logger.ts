/** JSON logs on standard error, so that standard output stays for what a command answers. Secrets never reach it. */
import { type DestinationStream, destination, type Logger, pino } from 'pino';

const SECRET_PATHS = [
  'req.headers.authorization',
  'req.headers["tallystick-signature"]',
  'req.headers["tallystick-wallet-signature"]',
  '*.secret',
  '*.privateKey',
  '*.apiKeySecret',
];

export function createLogger(level: string, service: string, stream: DestinationStream = destination(2)): Logger {
  return pino({ level, base: { service }, redact: { paths: SECRET_PATHS, censor: '[redacted]' } }, stream);
}
