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


def test_the_queue_runs_while_a_question_is_handed_on_and_answered_and_not_between() -> None:
    async def main() -> None:
        blocks = page()
        queue, runner = blocks._queue, QueueRunner(blocks)
        seen = [(runner.runs, queue.stopped)]
        for _ in range(2):
            with runner.asking():
                seen.append((runner.runs, queue.stopped))
                await asyncio.sleep(0.03)
                seen.append((runner.runs, queue.stopped))
                queue.active_jobs[0] = []
            await asyncio.sleep(0.03)
            seen.append((runner.runs, queue.stopped))
            queue.active_jobs[0] = None
            while runner.runs:
                await asyncio.sleep(0.01)
            seen.append((runner.works, queue.stopped))  # who reads answers is not told that it stopped
        await runner.close()

        assert seen == [(False, True)] + [(True, False)] * 8
        assert queue.stopped
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_question_that_comes_as_the_queue_goes_to_rest_finds_it_running() -> None:
    async def main() -> None:
        blocks = page()
        queue, runner = blocks._queue, QueueRunner(blocks)
        starts = 0

        async def processing() -> None:
            nonlocal starts
            starts += 1
            try:
                await asyncio.Event().wait()
            finally:
                if starts == 1:
                    with runner.asking():
                        queue.active_jobs[0] = []

        queue.start_processing = processing  # type: ignore[method-assign]
        with runner.asking():
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            while starts < 2:
                await asyncio.sleep(0.01)
        assert runner.runs
        await runner.close()

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
        with runner.asking():
            pass
        blocks._queue.pending_messages_per_session["left"] = asyncio.Queue()
        blocks._queue.pending_event_ids_session["left"] = {"event"}
        while runner.works:
            await asyncio.sleep(0.01)

        assert not runner.awaits("left")
        assert blocks._queue.pending_event_ids_session == {}

    asyncio.run(main())
