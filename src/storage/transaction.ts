/** One transaction on one connection of a pool. */
import type { Pool, PoolClient } from 'pg';

const ignore = (): void => undefined;

/**
 * Runs `work` between BEGIN and COMMIT. When anything fails, the connection is thrown away instead of given back, which rolls back; whether a
 * COMMIT whose answer was lost took effect is for the caller to find out.
 * @param mode what follows BEGIN, such as `ISOLATION LEVEL REPEATABLE READ READ ONLY`
 */
export async function inTransaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>, mode = ''): Promise<T> {
  const client = await pool.connect();
  // A session that ends between two queries reports it here; without a listener that would end the process. The next query fails anyway.
  client.on('error', ignore);
  let broken: Error | undefined;
  try {
    await client.query(`BEGIN ${mode}`);
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    broken = error instanceof Error ? error : new Error(String(error));
    throw error;
  } finally {
    client.off('error', ignore);
    client.release(broken);
  }
}
