"""Several locks on standard input, one on standard output: each package once, with its hashes, and no comments."""

import re
import sys

REQUIREMENT = re.compile(r"^[A-Za-z0-9].*?(?=^[A-Za-z0-9]|\Z)", re.MULTILINE | re.DOTALL)

EXTRAS = re.compile(r"(?<=\w)\[[^\]]*\](?===)")
"""uvicorn[standard] is uvicorn, and the lock has the rest of it."""


def main() -> None:
    lines = [line for line in sys.stdin.read().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = [EXTRAS.sub("", text.strip(), count=1) for text in REQUIREMENT.findall("\n".join(lines))]
    sys.stdout.write("\n".join(dict.fromkeys(found)) + "\n")


if __name__ == "__main__":
    main()
