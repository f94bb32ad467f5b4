"""The loop measured: labels that choosing saves, and whether estimates from chosen labels hold.

`pools` reads and encodes texts, `labels_needed` and `coverage` measure with the product's own policies, `tables` shows.
"""
