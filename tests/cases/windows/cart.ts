import { findItem, dropAt } from "./items";

/**
 * Carts, see load(x).
 * Call close(it) when done.
 */
export interface Store {
  get(id: string): Item;
  put(id: string, item: Item): Promise<void>;
  close();
  onDone?: (x: number) => void;
}

export enum Kind {
  A = 1,
  B = makeKind("b"), //= makeKind
}

export type Handler = {
  run(x: number): void;
  stop: () => void;
};

@Component({ //= Component
  selector: "cart",
  providers: [provide(Store)], //= provide
})
export class Cart<T> extends Base<T> implements Store {
  private items: Item[] = loadItems(); //= loadItems
  static readonly limit = limitOf<Item>(3); //= limitOf
  #hidden = new Map<string, Item>(); //= Map

  constructor(private http: Http, @Inject(Store) store: Store) { //= Inject
    super(http);
    this.#hide(store!.get("x")); //= hide get
  }

  private remove(item: Item): void {
    const at = findItem(this.items, item); //= findItem
    if (at >= 0) {
      dropAt(this.items, at); //= dropAt
    } else {
      this.onDone!(item); //= onDone
    }
  }

  static of(items: Item[]): Cart<Item> {
    return buildCart(items) //= buildCart
  }

  get total(): number {
    switch (kindOf(this)) { //= kindOf
      case Kind.A:
        return count(this.items); //= count
      case valueOf(Kind.B): //= valueOf
        return this.store?.count?.() ?? 0; //= count
      default:
        throw new CartError(`no ${nameOf(this)} but drop(x)`); //= CartError nameOf
    }
  }

  async load(id: string): Promise<Item> {
    try {
      const found = await this.http.get<Item>(`/items/${id}`); //= get
      return (found as any).unwrap(); //= unwrap
    } catch (error) {
      report(error); //= report
    } finally {
      await release<T>(); //= release
    }
  }
}

export const options = {
  name: "cart",
  create(x) {
    return make(x); //= make
  },
  resolve: async (id) => {
    return lookup(id); //= lookup
  },
  list: [
    first(1), //= first
    second(2), //= second
  ],
};

describe("cart", () => { //= describe
  it("adds", async () => { //= it
    expect(await add(1)).toBe(2); //= expect add toBe
    expect(text).toEqual(` //= expect toEqual
      drop(x)
    `);
  });
});
