/** Gauges that are read when scraped, from something that knows its own figures. */
import { Gauge, type Registry } from 'prom-client';

/** Name without prefix, help, and how it is read; undefined leaves the gauge as it is. */
export type Figure = readonly [name: string, help: string, read: () => number | undefined];

export function observeFigures(registry: Registry, prefix: string, figures: readonly Figure[]): void {
  for (const [name, help, read] of figures) {
    new Gauge({
      name: `${prefix}_${name}`,
      help,
      registers: [registry],
      collect() {
        const value = read();
        if (value !== undefined) this.set(value);
      },
    });
  }
}
