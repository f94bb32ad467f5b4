"""Drift alarms measured: false alarms against the stated budget, and rows until the alarm against rivals.

`sources` and `shifts` make rows, `models` answers them, `rivals` and `ours` watch windows of them, `replay` and
`delay` measure, `figures` keeps. This file and `rivals/` are imported by the rivals' own environments, so neither
imports anything of Tidegate's here.
"""
