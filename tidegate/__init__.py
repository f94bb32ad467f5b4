"""Tidegate: takes a registered run and keeps it honest in production.

This package is the core: the nouns that every room shares (bundle, session, record, store, settings) and
the command line that composes the rooms. It imports neither `serving`, `monitoring`, `exporters`, `demos`
nor `loadtests`, except from `tidegate.cli`.
"""

from tidegate import telemetry_off

__version__ = "0.1.0"

telemetry_off.switch_off()
