/** Lets the event loop look at its sockets before what follows: a long computation is cut into tasks by it. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
