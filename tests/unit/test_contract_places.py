"""Where an item of a review begins with a path and a line: whatever the path is."""

import pytest

from firstpass.contract.form import place_of, written_paths

PATHS = (
    "src/a.py",
    "dir with space/my file.py",
    'quo"te.py',
    "tab\tname.py",
    "über/naïve.py",
    "at 10:30/x.py",
    "a",
    "it's.py",
)


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ("src/a.py:8: it may fail", ("src/a.py", 8)),
        ("`src/a.py:8`: it may fail", ("src/a.py", 8)),
        ("**src/a.py:8** it may fail", ("src/a.py", 8)),
        ("`src/a.py`:8: it may fail", ("src/a.py", 8)),
        ("src/a.py:8:3: it may fail at 10:30", ("src/a.py", 8)),
        ("dir with space/my file.py:8: it may fail", ("dir with space/my file.py", 8)),
        ("`dir with space/my file.py`:8: it may fail", ("dir with space/my file.py", 8)),
        ('"dir with space/my file.py":8: it may fail', ("dir with space/my file.py", 8)),
        ('quo"te.py:8: it may fail', ('quo"te.py', 8)),
        ('"quo\\"te.py":8: it may fail', ('quo"te.py', 8)),
        ("tab name.py:8: it may fail", ("tab\tname.py", 8)),
        ("tab\\tname.py:8: it may fail", ("tab\tname.py", 8)),
        ("über/naïve.py:8: it may fail", ("über/naïve.py", 8)),
        ('"\\303\\274ber/na\\303\\257ve.py":8: it may fail', ("über/naïve.py", 8)),
        ("at 10:30/x.py:8: it may fail", ("at 10:30/x.py", 8)),
        ("it's.py:8: it may fail", ("it's.py", 8)),
        ("other.py:8: it may fail", ("other.py", 8)),
        ("The value at 10:30 is wrong", None),
        ("a value at 8: wrong", None),
        ("src/a.py: it may fail", None),
        ("src/a.py:8x: it may fail", None),
        ("", None),
        (":" * 9, None),
    ],
)
def test_a_place_is_read_with_the_paths_that_there_are(item: str, place: tuple[str, int] | None) -> None:
    assert place_of(item, written_paths(PATHS)) == place
