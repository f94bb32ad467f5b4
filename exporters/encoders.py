"""What every encoder's config.json must say, whether `checkpoint` or `ready` brings it: its task and its longest input.

Before either of them touches a graph. Limits: single-label classification.
"""

from pathlib import Path

from tidegate.errors import UnsupportedSource

_NO_LIMIT = 1_000_000  # transformers writes 1e30 where a tokenizer has no limit of its own
_UNSTATED = 512  # what encoders without a stated limit were trained with
# Families whose position ids start at pad_token_id + 1, so that many positions are lost (modeling_roberta.py).
_OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "longformer", "mpnet")


def check_task(model: Path, problem_type: str | None, classes: int) -> None:
    """Refuse what is not single-label classification.

    Raises:
        UnsupportedSource: many labels at once, or a regression.
    """
    if problem_type not in (None, "single_label_classification") or classes < 2:
        kind = problem_type or "regression"
        raise UnsupportedSource(f"{model} does {kind}; only single-label classification can be exported")


def padding_id(model_type: str, stated: int | None) -> int:
    """The padding token: as stated, or what the family's own config class has where config.json leaves it out."""
    return stated if stated is not None else int(model_type in _OFFSET_POSITIONS)


def longest_input(model_type: str, stated: float | None, positions: int | None, pad_id: int) -> int:
    """Tokens that the model takes, specials included: the smaller of the tokenizer's and the positions' limit.

    Args:
        model_type: the family, as in config.json.
        stated: the tokenizer's `model_max_length`.
        positions: the config's `max_position_embeddings`.
        pad_id: the padding token.
    """
    limits = [stated] if stated and stated < _NO_LIMIT else []
    if positions and positions > 0:
        limits.append(positions - (pad_id + 1 if model_type in _OFFSET_POSITIONS else 0))
    return int(min(limits, default=_UNSTATED))
