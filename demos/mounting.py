"""Gradio's app around the blocks of a page, with everything off that demos do not need.

Used twice: by `demos.app` for the pages made from bundles, and by `demos.own_child` for one that a run brought. What is
still open below the page, `demos.paths` closes. Source: Gradio 6.31 `routes.mount_gradio_app`.
"""

import gradio as gr
from fastapi import FastAPI

from demos.theme import STYLESHEET, theme

MAX_WAITING = 128  # beyond it Gradio answers "busy"
MAX_SESSIONS = 200  # Gradio copies the page's configuration per visitor; the oldest are dropped first


def mounted(blocks: gr.Blocks, model: str) -> FastAPI:
    """An app that has the page at `/{model}`; its lifespan holds Gradio's background tasks."""
    page = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    gr.mount_gradio_app(
        page,
        blocks,
        path=f"/{model}",
        theme=theme(),
        css_paths=[STYLESHEET],
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        max_file_size=0,
    )
    return page
