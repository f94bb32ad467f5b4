"""The loop measured: labels that choosing saves, whether estimates from them hold, wrong labels caught.

`pools` reads and encodes texts, `neighbours` moves their rows, `labels_needed`, `coverage` and `noise` measure with the
product's own policies and audit, `tables` shows.
"""
