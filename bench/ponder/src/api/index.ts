import { Hono } from 'hono';

/** Ponder asks for an API; the benchmark asks the database. */
export default new Hono();
