"""The tables of labels: the relabel queue, what each person answered, data sets and retrainings.

Written by `monitoring.labels` and by the commands `relabel`, `labels`, `retrain` and `loop`; part of the one schema of
`tidegate.store`, which every other module imports them from. Times are Unix seconds.
"""

from sqlalchemy import JSON, Boolean, Column, Float, Index, Integer, LargeBinary, String, Table, Text

from tidegate.schema import metadata

relabel_items = Table(
    "relabel_items",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("model", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("prediction_id", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("text_digest", String(64), nullable=False),
    Column("predicted", Text, nullable=False),
    Column("score", Float, nullable=False),
    Column("scores", JSON, nullable=False),
    Column("reason", String(32), nullable=False),  # the slot that it was selected for
    Column("state", String(16), nullable=False),
    Column("label", Text),  # what its annotators agree on; null until then
    Column("comment", Text, nullable=False, default=""),
    Column("annotator", Text, nullable=False, default=""),  # who answered last
    Column("created_at", Float, nullable=False),
    Column("labelled_at", Float),
    Column("suggested", Text),  # what a caller claims; a claim, not a label
    Column("window_id", Integer),
    Column("alert_id", Integer),
    Column("caller", String(32), nullable=False, server_default=""),  # a digest, never an address or a key
    Column("selection_score", Float(53)),
    Column("selection_probability", Float(53)),  # null where nobody selected: a caller's report
    Column("embedding", LargeBinary),  # float16, of what is compared with it; null where the model has none
    Column("wanted", Integer, nullable=False, server_default="1"),  # answers, each of another annotator
    Column("claimed_by", Text, nullable=False, server_default=""),
    Column("leased_until", Float(53)),
    Column("gold", Text),  # the right label of an item that tests annotators; never training data
    Column("doubt", Text, nullable=False, server_default=""),  # why the quality check asked a second annotator
    Column("data_set", Integer),  # the data set that it first became part of
    Index("relabel_by_text", "model", "text_digest", unique=True),
    Index("relabel_by_state", "model", "state", "created_at"),
)

Index(
    "relabel_gold",
    relabel_items.c.model,
    sqlite_where=relabel_items.c.gold.is_not(None),
    postgresql_where=relabel_items.c.gold.is_not(None),
)

# One row a person and item: who answers again changes their mind, and nobody counts twice.
annotations = Table(
    "annotations",
    metadata,
    Column("item_id", String(32), primary_key=True),
    Column("annotator", String(128), primary_key=True),
    Column("verdict", String(8), nullable=False),  # label, none (not a case for these labels) or skip
    Column("label", Text),
    Column("comment", Text, nullable=False, server_default=""),
    Column("source", String(16), nullable=False),  # page, import, webhook, simulated, decision
    Column("seconds", Float(53)),  # that the person looked at it
    Column("created_at", Float(53), nullable=False),
    Index("annotations_by_annotator", "annotator", "created_at"),
)

# What another tool's webhook told of its annotations: events come twice and out of order, and of one that was deleted
# the tool says no more than its number.
webhook_answers = Table(
    "webhook_answers",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("number", String(64), primary_key=True),  # the tool's, of the annotation
    Column("item_id", String(32)),  # null where it was deleted before anything else was heard of it
    Column("annotator", String(128)),
    Column("verdict", String(8)),
    Column("label", Text),
    Column("comment", Text, nullable=False, server_default=""),
    Column("seconds", Float(53)),
    Column("updated_at", Float(53), nullable=False),
    Column("deleted", Boolean, nullable=False),
    Index("webhook_answers_by_item", "item_id", "annotator"),
)

random_draws = Table(
    "random_draws",
    metadata,
    Column("prediction_id", String(64), primary_key=True),
    Column("model", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("item_id", String(32), nullable=False),
    Column("predicted", Text, nullable=False),
    Column("chance", Float(53)),  # of being right, as estimated when it was drawn
    Column("selection_probability", Float(53), nullable=False),
    Column("drawn_at", Float(53), nullable=False),
    Index("random_draws_by_model", "model", "version", "drawn_at"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("prediction_id", String(64), nullable=False),
    Column("model", String(64), nullable=False),
    Column("label", Text, nullable=False),
    Column("comment", Text, nullable=False, default=""),
    Column("created_at", Float, nullable=False),
)

data_sets = Table(
    "data_sets",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),  # SHA-256 of its files
    Column("rows", Integer, nullable=False),
    Column("added", Integer, nullable=False),  # of them, from the queue
    Column("parent_run", Text, nullable=False),  # whose data it began with
    Column("created_at", Float(53), nullable=False),
    Column("detail", JSON, nullable=False),
)

retrainings = Table(
    "retrainings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # running, canary, promoted, refused, failed
    Column("step", String(32), nullable=False),  # the last that is done
    Column("data_set", Integer),
    Column("parent_run", Text, nullable=False, server_default=""),
    Column("run", Text, nullable=False, server_default=""),
    Column("version", Integer),  # of the bundle, once exported
    Column("started_at", Float(53), nullable=False),
    Column("updated_at", Float(53), nullable=False),
    Column("ended_at", Float(53)),
    Column("detail", JSON, nullable=False),  # by step, what it found and how long it took
    Index("retrainings_by_model", "model", "id"),
)
