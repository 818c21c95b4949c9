const { open } = require("./store");

/* Carts, see load(x).
   Call close(it) when done. */
class Cart extends mixin(Base) { //= mixin
  items = loadItems(); //= loadItems

  static create(items) {
    return new Cart(items); //= Cart
  }

  remove(item) {
    const at = findItem(this.items, item); //= findItem
    if (at >= 0) {
      dropAt(this.items, at); //= dropAt
    }
  }

  async *all() {
    for await (const item of stream(this)) { //= stream
      yield wrap(item); //= wrap
    }
  }

  get size() {
    return this.items.filter((x) => keep(x)).length; //= filter keep
  }
}

module.exports = {
  name: "cart",
  load(id) {
    return lookup(id); //= lookup
  },
  async transform(code, id) {
    const found = await parse(code); //= parse
    return { code: print(found), map: null }; //= print
  },
  close,
};

app.get("/items", function (req, res) { //= get
  res.send( //= send
    render(req.body, { //= render
      at: now(), //= now
      kind: "x",
    }),
  );
});

switch (mode(1)) { //= mode
  case "a":
    start(); //= start
    break;
  case pick("b"): //= pick
    stop(); //= stop
    break;
  default:
    idle(); //= idle
}

function main(a, b = initial()) { //= initial
  const text = `
    drop(x) ${label(a)} //= label
    gone(y)
  `;
  if (/call\(x\)/.test(text) && ready(a)) { //= test ready
    run(a)?.then((x) => done(x)); //= run then done
  }
}
