/** Durations of requests by route pattern, never by path: labels stay few. */
import { Gauge, Histogram, type Registry } from 'prom-client';
import type { CommandClient } from '../messaging/port.ts';
import type { ApiInstance } from './context.ts';

export function observeRequests(app: ApiInstance, registry: Registry): void {
  const durations = new Histogram({
    name: 'tallystick_http_request_duration_seconds',
    help: 'Time from request to the last byte of the answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [registry],
  });
  // Few, as routes and statuses are: looking up a histogram by its labels costs more than counting.
  const known = new Map<string, Histogram.Internal<string>>();
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none';
    const name = `${request.method} ${reply.statusCode} ${route}`;
    let duration = known.get(name);
    if (duration === undefined) {
      duration = durations.labels(request.method, route, String(reply.statusCode));
      known.set(name, duration);
    }
    duration.observe(reply.elapsedTime / 1000);
    done();
  });
}

/** Sockets and subscriptions, read when scraped. */
export function observeSockets(
  registry: Registry,
  count: () => { readonly sockets: number; readonly subscriptions: number },
): void {
  new Gauge({
    name: 'tallystick_websocket_connections',
    help: 'Open WebSocket connections.',
    registers: [registry],
    collect() {
      this.set(count().sockets);
    },
  });
  new Gauge({
    name: 'tallystick_websocket_subscriptions',
    help: 'Subscriptions over all connections.',
    registers: [registry],
    collect() {
      this.set(count().subscriptions);
    },
  });
}

/** 1 while all gateways count together, 0 while each counts for itself. */
export function observeRateLimits(registry: Registry, isShared: () => boolean): void {
  new Gauge({
    name: 'tallystick_rate_limits_shared',
    help: 'Whether rate limits are counted over all gateways (1) or by each for itself (0).',
    registers: [registry],
    collect() {
      this.set(isShared() ? 1 : 0);
    },
  });
}

/** The same client, with the time from submission to the engine's answer recorded by kind of command and of answer. */
export function measureCommands(commands: CommandClient, registry: Registry): CommandClient {
  const durations = new Histogram({
    name: 'tallystick_command_duration_seconds',
    help: 'Time from submitting a command to the answer of the engine.',
    labelNames: ['command', 'reply'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers: [registry],
  });
  const known = new Map<string, Histogram.Internal<string>>();
  return {
    submit: (command, options) => {
      const startedMs = performance.now();
      return commands.submit(command, options).then((reply) => {
        const name = `${command.kind} ${reply.kind}`;
        let duration = known.get(name);
        if (duration === undefined) {
          duration = durations.labels(command.kind, reply.kind);
          known.set(name, duration);
        }
        duration.observe((performance.now() - startedMs) / 1000);
        return reply;
      });
    },
  };
}
