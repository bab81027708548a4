/** POST /orders/validate: a dry run. Answers 200 with everything that would be refused, and what was signed by whom. */
import { Type } from 'typebox';
import type { Route } from '../context.ts';
import { ORDER_BUDGET } from '../rate-limits.ts';
import { AddressOut, DecimalOut, FieldErrorSchema, nullable, object, PlaceOrderBody } from '../schemas.ts';
import { validateOrder as validate } from '../trading/validate-order.ts';

export const ValidationView = object({
  valid: Type.Boolean({
    description: 'True when nothing known speaks against it; the engine decides when it is placed.',
  }),
  digest: nullable(Type.String({ description: 'EIP-712 digest, the id of the order.' })),
  structHash: nullable(Type.String()),
  expectedAccount: AddressOut,
  recoveredSigner: nullable(AddressOut),
  domain: object({
    name: Type.String(),
    version: Type.String(),
    chainId: Type.Integer(),
    verifyingContract: AddressOut,
  }),
  market: nullable(Type.String()),
  side: nullable(Type.String()),
  price: nullable(DecimalOut),
  size: nullable(DecimalOut),
  notional: nullable(DecimalOut),
  maxFee: nullable(Type.String({ description: 'The highest fee this order can cost, in the quote asset.' })),
  lane: nullable(Type.Integer()),
  problems: Type.Array(FieldErrorSchema),
});

export const validateOrder: Route = (app, context) => {
  app.post(
    '/orders/validate',
    {
      ...ORDER_BUDGET,
      schema: {
        tags: ['trading'],
        summary: 'Dry run: digest, signer, and every reason to refuse that is known',
        body: PlaceOrderBody,
        response: { 200: ValidationView },
      },
    },
    async (request) => validate(request.body, context),
  );
};
