"""The programs of benchmarks/suites/injection, in the order in which they import each other."""

from tests.suites import loaded

families, placing, planting = (loaded("injection", name) for name in ("families", "placing", "planting"))
