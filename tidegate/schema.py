"""The schema's number and the tables' common `MetaData`; `store` and `label_tables` draw the tables.

A column that comes later is nullable or has a server default, so that `tidegate.upgrade` can add it to a database that
is there; anything else needs a new number and a step there.
"""

from sqlalchemy import Column, Integer, MetaData, Table

SCHEMA_VERSION = 4

metadata = MetaData()

schema = Table("schema_version", metadata, Column("version", Integer, primary_key=True))
