/**
 * Answers of the routes that place orders are written by JSON.stringify: the serializer that is generated from a schema tries each
 * member of a union by validating it, and an order has a dozen fields that may be null. The views have the schema's type, which is
 * what keeps the two together.
 */
export const plainSerializer =
  () =>
  (answer: unknown): string =>
    JSON.stringify(answer);
