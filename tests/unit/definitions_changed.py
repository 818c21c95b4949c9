"""Two versions of a file for each language, and what happened to its definitions."""

BEFORE_AND_AFTER: dict[str, tuple[str, str, dict[str, str]]] = {
    "a.py": (
        """import os


def gone(x):
    a = x + 1
    b = a * 2
    return b


class Box:
    size: int = 1

    def stay(self, x):
        y = x + 1
        z = y + 2
        return z

    def wide(self, a):
        return a
""",
        """import os


class Box:
    size: int = 2

    def stay(self, x):
        y = x + 1
        z = y + 3
        return z

    def wide(self, a, b=None):
        return a

    def new(self):
        return 1
""",
        {
            "gone": "removed function",
            "Box.size": "changed field",
            "Box.stay": "changed method",
            "Box.wide": "signature method",
            "Box.new": "added method",
        },
    ),
    "a.js": (
        """export function gone(x) {
  const a = x + 1;
  return a;
}

export class Box {
  stay(x) {
    const y = x + 1;
    return y;
  }

  wide(a) {
    return a;
  }
}

export const pick = (a) => {
  return a;
};
""",
        """export class Box {
  stay(x) {
    const y = x + 2;
    return y;
  }

  wide(a, b) {
    return a;
  }

  fresh() {
    return 1;
  }
}

export const pick = (a) => {
  return a + 1;
};
""",
        {
            "gone": "removed function",
            "Box.stay": "changed method",
            "Box.wide": "signature method",
            "Box.fresh": "added method",
            "pick": "changed function",
        },
    ),
    "a.ts": (
        """export interface Shape {
  area(): number;
  name: string;
}

class Box {
  private stay(x: number): number {
    return x;
  }
}
""",
        """export interface Shape {
  area(unit: string): number;
  name?: string;
}

class Box {
  private stay(x: number): number {
    return x + 1;
  }
}

export type Side = 'a' | 'b';
""",
        {
            "Shape.area": "signature method",
            "Shape.name": "changed field",
            "Box.stay": "changed method",
            "Side": "added type",
        },
    ),
    "a.go": (
        """package a

type Box struct {
	Size int
}

func gone(x int) int {
	y := x + 1
	return y
}

func (b *Box) Stay(x int) int {
	return x
}

func Wide(a int) int {
	return a
}
""",
        """package a

type Box struct {
	Size int64
	Name string
}

func (b *Box) Stay(x int) int {
	return x + 1
}

func Wide(a int, b string) (int, error) {
	return a
}

func (b *Box) Fresh() {
}
""",
        {
            "Box.Size": "changed field",
            "Box.Name": "added field",
            "gone": "removed function",
            "Box.Stay": "changed method",
            "Wide": "signature function",
            "Box.Fresh": "added method",
        },
    ),
    "a.rs": (
        """pub struct Bin {
    pub size: u8,
}

impl Bin {
    pub fn stay(&self) -> u8 {
        self.size
    }

    fn wide(&self, a: u8) -> u8 {
        a
    }
}
""",
        """pub struct Bin {
    pub size: u16,
}

impl Bin {
    pub fn stay(&self) -> u8 {
        self.size + 1
    }

    fn wide(&self, a: u8, b: u8) -> u8 {
        a
    }
}

pub enum Side {
    Left,
}
""",
        {
            "Bin.size": "changed field",
            "Bin.stay": "changed method",
            "Bin.wide": "signature method",
            "Side": "added type",
            "Side.Left": "added field",
        },
    ),
    "A.java": (
        """class A {
    private static final int SIZE = 1;

    public int stay(int x) {
        return x;
    }

    protected void wide(int a) {
        run(a);
    }
}
""",
        """class A {
    private static final int SIZE = 2;

    public int stay(int x) {
        return x + 1;
    }

    protected void wide(int a, String b) {
        run(a);
    }

    int fresh() {
        return 1;
    }
}
""",
        {
            "A.SIZE": "changed field",
            "A.stay": "changed method",
            "A.wide": "signature method",
            "A.fresh": "added method",
        },
    ),
    "a.kt": (
        """class A(val size: Int) {
    private val name: String = "a"

    fun stay(x: Int): Int {
        return x
    }

    fun wide(a: Int) = a
}
""",
        """class A(val size: Int, val more: Int) {
    private val name: String = "b"

    fun stay(x: Int): Int {
        return x + 1
    }

    fun wide(a: Int, b: Int) = a
}

object Fresh {
}
""",
        {
            "A": "signature class",
            "A.name": "changed property",
            "A.stay": "changed method",
            "A.wide": "signature method",
            "Fresh": "added class",
        },
    ),
    "a.zig": (
        """pub fn stay(x: u8) u8 {
    return x;
}

fn gone() void {
    work();
    more();
}
""",
        """pub fn stay(x: u8) u8 {
    return x + 1;
}

pub fn fresh(y: u8) void {
    other(y);
}
""",
        {
            "stay": "changed function",
            "gone": "removed function",
            "fresh": "added function",
        },
    ),
}
