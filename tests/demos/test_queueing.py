"""Gradio's queue of a page runs while somebody asks, and keeps nothing of them after."""

import asyncio

import gradio as gr

from demos.queueing import QueueRunner


def page() -> gr.Blocks:
    blocks = gr.Blocks(analytics_enabled=False)
    with blocks:
        gr.Textbox()
    blocks.queue()
    return blocks


def test_the_queue_rests_after_the_last_question_and_wakes_with_the_next() -> None:
    async def main() -> None:
        blocks = page()
        runner = QueueRunner(blocks, rest_seconds=0.05)
        seen = [runner.works]
        for _ in range(2):
            await runner.wake()
            seen.append(runner.works and not blocks._queue.stopped)
            while runner.works:
                await asyncio.sleep(0.01)
        await runner.close()

        assert seen == [False, True, True]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_session_is_forgotten_when_nothing_of_it_is_on_its_way() -> None:
    async def main() -> None:
        blocks = page()
        queue, runner = blocks._queue, QueueRunner(blocks)
        for session in ("done", "waits"):
            queue.pending_messages_per_session[session] = asyncio.Queue()
            queue.pending_event_ids_session[session] = set() if session == "done" else {"event"}
            runner.forget(session)

        assert (runner.awaits("done"), runner.awaits("waits")) == (False, True)
        assert list(queue.pending_event_ids_session) == ["waits"]

    asyncio.run(main())


def test_what_nobody_came_to_read_is_dropped_at_rest() -> None:
    async def main() -> None:
        blocks = page()
        runner = QueueRunner(blocks, rest_seconds=0.05)
        await runner.wake()
        blocks._queue.pending_messages_per_session["left"] = asyncio.Queue()
        blocks._queue.pending_event_ids_session["left"] = {"event"}
        while runner.works:
            await asyncio.sleep(0.01)

        assert not runner.awaits("left")
        assert blocks._queue.pending_event_ids_session == {}

    asyncio.run(main())
