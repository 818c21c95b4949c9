"""Carts and what is in them, see load(x).

    >>> cart.add(1)
"""
import json
from dataclasses import dataclass, field


@register("cart", kind=Kind(1))  #= register Kind
@dataclass
class Cart(Base, metaclass=Meta(1)):  #= Meta
    """A cart. Call close(it) when done."""

    items: list[Item] = field(default_factory=list)  #= field
    limits = {
        "few": Limit(1),  #= Limit
        "many": Limit(  #= Limit
            make_size(9),  #= make_size
        ),
    }
    names = [
        "one",
        build_name("two"),  #= build_name
        "three",
    ]

    def total(
        self,
        rate: float = default_rate(),  #= default_rate
    ) -> float:
        if (
            self.is_open()  #= is_open
            and not self.expired(now())  #= expired now
        ):
            return compute(self.items)  #= compute
        elif self.closed:
            return 0.0
        else:
            raise CartError(f"bad {describe(self)!r:>{width(3)}} of cart")  #= CartError describe width

    async def fetch(self, event):
        match event:
            case Added(item):
                await self.add(item)  #= add
            case Removed(item) if allowed(item):  #= allowed
                self.drop(item)  #= drop
            case {"kind": Kind(x), **rest}:
                pass
            case _:
                log.warning("no drop(x) here")  #= warning
        try:
            async with connect(self.url) as link:  #= connect
                return [parse(row) for row in link.rows() if row]  #= parse rows
        except (ValueError, CustomError):
            retry(  #= retry
                self.fetch,
                event=event,
            )
        finally:
            self.release()  #= release

    @property
    def first(self):
        """The first one.

        It is found by find(x) and
        then shown.
        """
        if (found := self.find(0)) is not None:  #= find
            return found  # never call gone(x)
        query = """
            SELECT count(x) FROM carts
        """
        return run_query(query)[0](self)  #= run_query


def main():
    app = Box[int](build())  #= Box build
    app.on("x", lambda event: handle(event))  #= on handle
    print(len(app))
