import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TallystickError } from '../../src/sdk/errors.ts';
import { createHttpClient } from '../../src/sdk/http.ts';

describe('an error of the API, as the SDK tells it', () => {
  let server: Server;
  let problem: object = {};
  before((done) => {
    server = createServer((_request, response) => {
      response.writeHead(422, { 'content-type': 'application/problem+json' }).end(JSON.stringify(problem));
    }).listen(0, '127.0.0.1', done);
  });
  after((done) => {
    server.close(done);
  });

  const messageOf = async (answer: object): Promise<string> => {
    problem = answer;
    const client = createHttpClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    try {
      await client.request('/api/v1/orders', { method: 'POST', body: {} });
    } catch (error) {
      assert.ok(error instanceof TallystickError);
      return error.shortMessage;
    }
    throw new Error('expected a refusal');
  };

  const lot = { pointer: '/order/baseAmount', code: 'off_lot', message: 'The amount is off lot.' };
  const tick = { pointer: '/order/quoteAmount', code: 'off_tick', message: 'The price is off tick.' };
  const cases: [string, object, string][] = [
    [
      'says a reason once when the detail is the reason',
      { code: 'ORDER_REJECTED', detail: lot.message, errors: [lot] },
      'The amount is off lot.',
    ],
    [
      'says a reason once when the detail names its place too, and adds the others',
      { code: 'VALIDATION_FAILED', detail: `${lot.pointer}: ${lot.message} (and 1 more)`, errors: [lot, tick] },
      '/order/baseAmount: The amount is off lot. (and 1 more) (off_tick: The price is off tick.)',
    ],
    [
      'adds the reasons when the detail is silent about them',
      { code: 'VALIDATION_FAILED', detail: 'The request is not valid.', errors: [lot, { code: 'bad_value' }] },
      'The request is not valid. (off_lot: The amount is off lot.; bad_value)',
    ],
    ['keeps to the detail without reasons', { code: 'OVERLOADED', detail: 'Busy.', errors: [] }, 'Busy.'],
  ];
  for (const [what, answer, expected] of cases) {
    it(what, async () => assert.equal(await messageOf(answer), expected));
  }
});
