package cart

import (
	"context"
	"fmt"
)

// Store keeps carts, see Load(x).
type Store interface {
	Get(ctx context.Context, id string) (*Item, error)
	Put(ctx context.Context, item *Item) error
	Open()
	Close() error
	fmt.Stringer
}

type Cart struct {
	Items  []Item `json:"items"`
	onDone func(x int) error
	Store
}

const (
	limit = 3
	name  = "cart(x)"
)

var (
	defaults = NewMap[string, int](4) //= NewMap
	errGone  = errors.New("gone") //= New
)

var table = []Case{
	{Name: "a", Want: makeItem(1)}, //= makeItem
	{
		Name: "b",
		Want: makeItem(2), //= makeItem
		Run: func(x int) error {
			return check(x) //= check
		},
	},
}

func (c *Cart) Total(
	ctx context.Context,
	rate float64,
) (sum int, err error) {
	for _, item := range c.sorted(rate) { //= sorted
		sum += price(item) //= price
	}
	if err := c.validate(ctx); err != nil { //= validate
		return 0, fmt.Errorf("bad(x): %w", err) //= Errorf
	} else if ok := ready(c); !ok { //= ready
		c.wait() //= wait
	}
	return sum, nil
}

func kind(x any) string {
	switch v := x.(type) {
	case []byte:
		return show(v) //= show
	case *Item:
		return v.Kind() //= Kind
	}
	switch {
	case isSmall(x): //= isSmall
		shrink(x) //= shrink
	case other(x) == 1: //= other
		fallthrough
	default:
		grow[Item](x) //= grow
	}
	select {
	case got := <-receive(x): //= receive
		use(got) //= use
	case <-time.After(3): //= After
		return ""
	}
	go func() {
		defer unlock() //= unlock
		run(x) //= run
	}()
	text := `
		drop(x)
	`
	handlers[i](text, len(text))
	return convert( //= convert
		text,
		pkg.Do[int](x), //= Do
	)
}
