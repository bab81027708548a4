/** Reads of the REST API. */

const TIMEOUT_MS = 5_000;

/**
 * The JSON below /api/v1. Goes to whoever serves the page.
 * @param {string} path such as `/markets`
 * @throws Error when there is no good answer in time
 */
export async function get(path) {
  const response = await fetch(`/api/v1${path}`, {
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`GET ${path} answered ${response.status}`);
  return response.json();
}
