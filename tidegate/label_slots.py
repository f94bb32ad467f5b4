"""The slots of the relabel queue's daily budget, and how the setting `relabel_shares` divides it among them.

`random` is drawn blindly and tells the true accuracy; `margin` takes what the model is unsure of, `diverse` what is
unlike the rest of that, `witness` what pulls the traffic away from the reference; `reported` is what callers say is
wrong and what two versions disagree on. Before: `settings`; after: `monitoring.labels`, which fills them.
"""

import math
from typing import Literal, get_args

from tidegate.errors import UsageError

Slot = Literal["random", "margin", "diverse", "witness", "reported"]
SLOTS: tuple[Slot, ...] = get_args(Slot)
DEFAULT_SHARES = "random=0.2,margin=0.4,diverse=0.2,witness=0.1,reported=0.1"
_ROUNDING = 1e-6  # of shares such as 0.333 that people write


def parse_shares(value: str) -> dict[Slot, float]:
    """The share of each slot, in [0, 1]; a slot that is not named has none.

    Args:
        value: such as "random=0.2,margin=0.8".

    Raises:
        UsageError: an unknown slot, one named twice, no number from 0 to 1, or shares that do not add up to 1.
    """
    shares: dict[Slot, float] = dict.fromkeys(SLOTS, 0.0)
    named: set[str] = set()
    for part in filter(None, (each.strip() for each in value.split(","))):
        name, _, number = (each.strip() for each in part.partition("="))
        if name not in SLOTS:
            raise UsageError(f"{name!r} is no slot of the relabel queue; use {', '.join(SLOTS)}")
        if name in named:
            raise UsageError(f"the slot {name!r} is named twice; name it once")
        named.add(name)
        shares[name] = _share(name, number)
    total = sum(shares.values())
    if abs(total - 1.0) > _ROUNDING:
        raise UsageError(f"the shares of {value!r} add up to {total:g}; they must add up to 1")
    return shares


def _share(name: str, number: str) -> float:
    try:
        share = float(number)
    except ValueError:
        share = math.nan
    if not 0.0 <= share <= 1.0:
        raise UsageError(f"the share of {name!r} is {number!r}; write a number from 0 to 1, such as {name}=0.2")
    return share
