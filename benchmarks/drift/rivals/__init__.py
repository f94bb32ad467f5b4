"""The rivals, each with its own library in an environment of its own (`.venv-rivals`); started by `rivals.ask`.

Files here run in those environments: they import the standard library, numpy and their own library, nothing of
Tidegate's.
"""
