/** /docs, /docs/errors, /docs/errors/CODE, /docs/reasons, the OpenAPI and the AsyncAPI document. */
import { SKIP_REASONS, WITHDRAWAL_OUTCOMES } from '../../domain/batches.ts';
import type { ErrorCode } from '../../domain/errors.ts';
import { ERROR_CATALOGUE } from '../../domain/errors.ts';
import { CANCEL_REASONS, REJECT_REASONS, WITHDRAWAL_REJECT_REASONS } from '../../domain/reasons.ts';
import type { ApiDependencies, ApiInstance } from '../context.ts';
import { notFound } from '../problem.ts';
import { asyncApiDocument } from './asyncapi.ts';
import { ERROR_EXPLANATIONS } from './error-explanations.ts';
import { escapeHtml, htmlPage, prose } from './html.ts';

const HTML = 'text/html; charset=utf-8';
const POLICY = "default-src 'none'; style-src 'unsafe-inline'";

type Operation = { readonly summary?: string; readonly description?: string; readonly tags?: readonly string[] };
type Document = {
  readonly tags?: readonly { readonly name: string; readonly description?: string }[];
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};

export function registerDocs(app: ApiInstance, dependencies: Pick<ApiDependencies, 'chain'>): void {
  const hidden = { schema: { hide: true } };
  app.get('/openapi.json', hidden, async () => app.swagger());
  app.get('/api/v1/openapi.json', hidden, async () => app.swagger());
  const asyncApi = asyncApiDocument(dependencies.chain);
  app.get('/asyncapi.json', hidden, async () => asyncApi);
  app.get('/api/v1/asyncapi.json', hidden, async () => asyncApi);
  app.get('/docs', hidden, async (_request, reply) =>
    reply
      .headers({ 'content-type': HTML, 'content-security-policy': POLICY })
      .send(htmlPage('Tallystick API', overview(app.swagger() as Document, dependencies.chain.chainId))),
  );
  app.get('/docs/errors', hidden, async (_request, reply) =>
    reply.headers({ 'content-type': HTML, 'content-security-policy': POLICY }).send(htmlPage('Errors', errorList())),
  );
  app.get('/docs/reasons', hidden, async (_request, reply) =>
    reply.headers({ 'content-type': HTML, 'content-security-policy': POLICY }).send(htmlPage('Reasons', reasonList())),
  );
  app.get('/docs/errors/:code', hidden, async (request, reply) => {
    const { code } = request.params as { code: string };
    if (!Object.hasOwn(ERROR_CATALOGUE, code))
      throw notFound(`There is no error code ${code.slice(0, 60)}; /docs/errors lists them.`);
    return reply
      .headers({ 'content-type': HTML, 'content-security-policy': POLICY })
      .send(htmlPage(code, errorPage(code as ErrorCode)));
  });
}

function errorList(): string {
  const rows = Object.entries(ERROR_CATALOGUE).map(
    ([code, { status, title }]) =>
      `<tr><td><a href="/docs/errors/${code}"><code>${code}</code></a></td><td>${status}</td><td>${escapeHtml(title)}.</td></tr>`,
  );
  return `<p><a href="/docs">API</a></p><h1>Errors</h1>
<p>Every error is an RFC 9457 problem document (<code>application/problem+json</code>). Switch on <code>code</code>; it is stable. <code>retryable</code> tells whether the same request may succeed later.</p>
<table><tr><th>Code</th><th>Status</th><th>Meaning</th></tr>${rows.join('\n')}</table>`;
}

function errorPage(code: ErrorCode): string {
  const { status, title } = ERROR_CATALOGUE[code];
  const reasons =
    code === 'ORDER_REJECTED'
      ? reasonTable(REJECT_REASONS)
      : code === 'WITHDRAWAL_REJECTED'
        ? reasonTable(WITHDRAWAL_REJECT_REASONS)
        : '';
  return `<p><a href="/docs">API</a> · <a href="/docs/errors">Errors</a></p>
<h1><code>${code}</code></h1><p class="muted">HTTP ${status}</p>
<p><strong>${escapeHtml(title)}.</strong></p><p>${prose(ERROR_EXPLANATIONS[code])}</p>${reasons}`;
}

/** Every word that may stand in a `reason`, beside what it is the reason of. */
function reasonList(): string {
  return `<p><a href="/docs">API</a> · <a href="/docs/errors">Errors</a></p><h1>Reasons</h1>
<h2 id="ended">An order has ended</h2><p><code>reason</code> of an order that is <code>cancelled</code> or <code>expired</code>; null for one that was filled.</p>${reasonRows(CANCEL_REASONS)}
<h2 id="refused">An order, a cancel or a reduction was refused</h2><p>With <a href="/docs/errors/ORDER_REJECTED"><code>ORDER_REJECTED</code></a>.</p>${reasonRows(REJECT_REASONS)}
<h2 id="withdrawals">A withdrawal was refused</h2><p>With <a href="/docs/errors/WITHDRAWAL_REJECTED"><code>WITHDRAWAL_REJECTED</code></a>.</p>${reasonRows(WITHDRAWAL_REJECT_REASONS)}
<h2 id="vault">The vault skipped it</h2><p><code>voidReason</code> of a fill: ${codes(SKIP_REASONS)}. <code>reason</code> of a withdrawal that failed: ${codes(WITHDRAWAL_OUTCOMES)}, or what ended it before: <code>expired</code>, <code>exit_requested</code>, <code>account_in_deficit</code>. docs/batch-format.md of the source says where they stand in a batch's event.</p>`;
}

function codes(words: Readonly<Record<number, string>>): string {
  return Object.values(words)
    .filter((word) => word !== 'executed')
    .map((word) => `<code>${word}</code>`)
    .join(', ');
}

function reasonTable(reasons: Readonly<Record<string, string>>): string {
  return `<h2>Reasons</h2>${reasonRows(reasons)}`;
}

function reasonRows(reasons: Readonly<Record<string, string>>): string {
  const rows = Object.entries(reasons).map(
    ([reason, text]) => `<tr><td><code>${reason}</code></td><td>${escapeHtml(text)}</td></tr>`,
  );
  return `<table>${rows.join('\n')}</table>`;
}

function overview(document: Document, chainId: number): string {
  const sections = (document.tags ?? []).map(({ name, description }) => {
    const rows = Object.entries(document.paths ?? {}).flatMap(([path, operations]) =>
      Object.entries(operations)
        .filter(([, operation]) => operation.tags?.includes(name))
        .map(
          ([method, operation]) =>
            `<tr><td><code><span class="method">${method.toUpperCase()}</span> ${escapeHtml(path)}</code></td><td>${prose(operation.summary ?? '')}${operation.description === undefined ? '' : `<br><span class="muted">${prose(operation.description)}</span>`}</td></tr>`,
        ),
    );
    return `<h2 id="${name.replaceAll(' ', '-')}">${escapeHtml(name)}</h2><p class="muted">${escapeHtml(description ?? '')}</p><table>${rows.join('\n')}</table>`;
  });
  return `<h1>Tallystick API</h1>
<p>Chain ${chainId}. <a href="/openapi.json">OpenAPI</a> · <a href="/docs/errors">Errors</a> · <a href="/docs/reasons">Reasons</a> · <a href="/api/v1/contracts">Contracts and EIP-712 types</a> · <a href="/api/v1/status">Status</a></p>
<p>Amounts and prices are plain decimal strings; times are milliseconds (the expiry inside signed messages: Unix seconds); addresses go out checksummed and come in any case; lists are <code>{ data, nextCursor }</code>, paged by <code>?limit&amp;cursor</code>.</p>
<p id="signing">Orders and withdrawals carry their own EIP-712 signature and need no key. Private reads and cancels need an API key (below), cancels also take a wallet signature over the message <code>Cancel(account, scope, timestamp)</code> in the headers <code>tallystick-account</code>, <code>tallystick-timestamp</code>, <code>tallystick-wallet-signature</code>; the scope is <code>order:&lt;id&gt;</code>, <code>reduce:&lt;id&gt;:&lt;remaining&gt;</code>, <code>market:&lt;symbol&gt;</code>, <code>all</code>, <code>cancel-after:&lt;timeoutMs&gt;</code>, <code>login</code> (WebSocket) or <code>key:&lt;id&gt;</code>.</p>
<p id="api-keys">An API key signs requests: <code>tallystick-key</code>, <code>tallystick-timestamp</code> (ms), <code>tallystick-signature</code> = hex HMAC-SHA256 under the secret over</p>
<pre>METHOD
/path?with=query
timestamp
hex SHA-256 of the body</pre>
<p>joined by newlines, at most <code>tallystick-receive-window</code> ms old (default 5000, at most 60000).</p>
<p>The WebSocket at <code>/ws</code> is described by <a href="/asyncapi.json">AsyncAPI</a>, and in docs/api.md of the source.</p>
${sections.join('\n')}`;
}
