/** Acknowledgements as a client keeps them: the API's answer to a placed order, a list of such answers, or receipts alone. */
import { readFileSync } from 'node:fs';
import type { Acknowledgement } from '../auditor/judge-receipt.ts';
import type { Receipt } from '../domain/journal.ts';
import type { Hash } from '../domain/units.ts';
import { UsageError } from './exit-codes.ts';

const HASH = /^0x[0-9a-f]{64}$/;

/** @throws UsageError when the file cannot be read or holds something else */
export function readReceiptFile(path: string): readonly Acknowledgement[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`--receipt ${path}: ${(error as Error).message}`);
  }
  return (Array.isArray(parsed) ? parsed : [parsed]).map((answer, index) => acknowledgementOf(answer, path, index));
}

function acknowledgementOf(answer: unknown, path: string, index: number): Acknowledgement {
  const refuse = (what: string): never => {
    throw new UsageError(`--receipt ${path}: entry ${index} ${what}`);
  };
  if (typeof answer !== 'object' || answer === null) return refuse('is not an object');
  const { receipt, order } = ('receipt' in answer ? answer : { receipt: answer }) as {
    receipt: unknown;
    order?: { id?: unknown };
  };
  if (!isReceipt(receipt))
    return refuse('holds no whole receipt (sequence, rowHash, merkleRoot, leafIndex, leafCount, proof, signature)');
  const id = order?.id;
  if (id !== undefined && !(typeof id === 'string' && HASH.test(id)))
    return refuse('names an order whose id is no digest');
  return { receipt, order: id as Hash | undefined };
}

function isReceipt(value: unknown): value is Receipt {
  if (typeof value !== 'object' || value === null) return false;
  const { sequence, rowHash, merkleRoot, leafIndex, leafCount, proof, signature } = value as Record<string, unknown>;
  return (
    [sequence, leafIndex, leafCount].every((number) => Number.isSafeInteger(number) && Number(number) >= 0) &&
    Number(leafIndex) < Number(leafCount) &&
    Number(sequence) > Number(leafIndex) &&
    Array.isArray(proof) &&
    [rowHash, merkleRoot, ...proof].every((hash) => typeof hash === 'string' && HASH.test(hash)) &&
    typeof signature === 'string'
  );
}
