"""Tidegate measured against its peers, on this machine, in one run: `python -m benchmarks`.

Not part of the product and not in the wheel. `prepare` makes a model, `pairs` drives Tidegate and one peer in turn
over HTTP, `engine`, `skew` and `overhead` look inside, `report` writes docs/reference/benchmarks.md. The bars that
each figure is held against are in `bars`. This file and `peers/` are imported by the peers' own environments, so
neither imports anything but the standard library here.
"""
