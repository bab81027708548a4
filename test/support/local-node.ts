import { type LocalNode, type LocalNodeOptions, startLocalNode } from '../../src/services/local-node.ts';

/** A fresh chain for the tests of the enclosing `describe`; it mines at once unless a block time is given. */
export function useLocalNode(options: LocalNodeOptions = {}): { readonly node: () => LocalNode } {
  let node: LocalNode | undefined;
  before(async () => {
    node = await startLocalNode(options);
  });
  after(async () => {
    await node?.stop();
  });
  return {
    node: () => {
      if (node === undefined) throw new Error('the node exists only while tests run');
      return node;
    },
  };
}
