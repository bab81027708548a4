/** How engines come into being and are written down, for the sequencer, the projector and replays. */
import { Engine } from '../offchain-engine/engine.ts';
import type { EngineForm } from '../offchain-engine/sequencer/ports.ts';
import { decodeSnapshot, encodeInSteps, encodeSnapshot, makeReady, stateHash } from '../offchain-engine/snapshot.ts';

export const ENGINE_FORM: EngineForm<Engine> = {
  create: () => new Engine(),
  restore: decodeSnapshot,
  encode: encodeSnapshot,
  makeReady,
  encodeInSteps,
  stateHash,
};
