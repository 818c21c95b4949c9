package shop;

import java.util.List;

/**
 * Carts, see load(x).
 * Call close(it) when done.
 */
@Entity(name = "cart")
public class Cart extends Base<Item> {
    private final List<Item> items = loadItems(); //= loadItems
    static final int[] SIZES = {
        small(), //= small
        large(), //= large
    };

    @Inject
    Cart(List<Item> items) throws CartException {
        super(items);
        this.items = copyOf(items); //= copyOf
    }

    protected Cart(
            @Named("a") String name,
            int size) {
        this(find(name)); //= find
    }

    @Override
    public long total() {
        long sum = 0;
        for (Item item : this.<Item>sorted()) { //= sorted
            sum += item.price(); //= price
        }
        if (sum > limit()) { //= limit
            throw new CartException("gone(x)"); //= CartException
        } else {
            report(Cart::describe); //= report
        }
        return sum;
    }

    abstract void close(int x);

    <T> T convert(Map.Entry<String, T> entry) {
        switch (kindOf(entry)) { //= kindOf
            case SMALL:
                return shrink(entry); //= shrink
            case LARGE:
                grow(entry); //= grow
                break;
            default:
                return new Map.Entry<String, T>(entry).get(); //= Entry get
        }
        try (Link link = connect()) { //= connect
            link.run(() -> { //= run
                handle(link); //= handle
            });
        } catch (IOException e) {
            retry(e); //= retry
        } finally {
            release(); //= release
        }
        String text = """
            drop(x)
            """;
        return pick(new Handler() { //= pick Handler
            @Override
            public void done(int x) {
                finish(x); //= finish
            }
        });
    }

    enum Kind {
        SMALL(1),
        LARGE(sizeOf(2)) { //= sizeOf
            int weight() {
                return weigh(this); //= weigh
            }
        },
        HUGE(3);

        Kind(int size) {
            check(size); //= check
        }
    }

    interface Keeper {
        Item get(String id);
        default void put(Item item) {
            store(item); //= store
        }
    }

    record Pair(int a, int b) {
        Pair {
            verify(a); //= verify
        }
    }
}
