"""What Gradio remembers of a visitor between two events: nothing, since no page of ours asks it to.

Gradio keeps a session for each visitor: a copy of the whole page, drawn anew for its deep links (80 KB and
milliseconds of CPU a visitor), and every component as the last answer left it. Our pages hold no `gr.State` and
outlive a restart of the server, so every event gets a session of its own, which ends with it.
Before: `demos.pages` builds a page; after: Gradio's routes ask `app.state_holder`.
Source: Gradio 6.31 `state_holder.py`.
"""

from copy import copy
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState, StateHolder


class _Brief(SessionState):
    """A page as it was built, for the length of an event."""

    def __init__(self, blocks: gr.Blocks) -> None:
        self.blocks_config = copy(blocks.default_config)
        self.config_values = {}
        self.state_data = {}
        self.is_closed = False

    def __setitem__(self, key: int, value: Any) -> None:
        self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        """Draw nothing for a deep link."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Draw nothing for a deep link."""


class _Forgetful(StateHolder):
    """Has a new session for whoever asks."""

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.set_blocks(blocks)

    def __getitem__(self, session_id: str) -> SessionState:
        return _Brief(self.blocks)


def forget_visitors(blocks: gr.Blocks) -> None:
    """Let a mounted page keep nothing of its visitors between two events.

    Raises:
        ValueError: a component of it keeps a state of its own.
    """
    if any(block.stateful for block in blocks.blocks.values()):
        raise ValueError("this page has a gr.State, which nobody would keep; carry it in a hidden field instead")
    blocks.app.state_holder = _Forgetful(blocks)
