/**
 * A map that remembers its latest entries: at least the last `keptMin` set, at most twice as many.
 *
 * It has two halves; when the newer is full, the older is dropped whole. Dropping the oldest entry of a `Map` one at a time would
 * cost more the longer it is done, because each search for the oldest passes over those deleted before.
 */
export class RecentMap<Key, Value> {
  readonly #keptMin: number;
  #newer = new Map<Key, Value>();
  #older = new Map<Key, Value>();

  constructor(keptMin: number) {
    this.#keptMin = keptMin;
  }

  get(key: Key): Value | undefined {
    return this.#newer.get(key) ?? this.#older.get(key);
  }

  set(key: Key, value: Value): void {
    if (this.#newer.size >= this.#keptMin && !this.#newer.has(key)) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(key, value);
  }

  delete(key: Key): void {
    this.#newer.delete(key);
    this.#older.delete(key);
  }
}
