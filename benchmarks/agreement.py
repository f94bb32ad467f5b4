"""Which labels a server gives, and whether they depend on who else is asking.

Every text is asked alone, then in lists of 32, then beside 63 other callers; the lists and the crowd are shuffled
anew each round, so that a text meets different company. The source model's labels come from `prepare`.
Before: `server`; after: `pairs` keeps the counts.
"""

import http.client
import threading
from collections import deque
from collections.abc import Sequence
from random import Random

from benchmarks.results import Agreement
from benchmarks.server import Server
from tidegate.errors import InferenceFailed

LIST_SIZE = 32
CALLERS = 64
ROUNDS = 2
_TIMEOUT_SECONDS = 120
_HEADERS = {"content-type": "application/json"}


def measure_agreement(server: Server, rows: Sequence[tuple[str, str]]) -> Agreement:
    """Ask for the label of every text in every company.

    Args:
        server: running, and not parked.
        rows: (text, label of the source model).

    Raises:
        InferenceFailed: a request was refused, or answered with too few labels.
    """
    texts = [text for text, _ in rows]
    alone = ask(server, texts, size=1, callers=1)
    lists = [_shuffled(server, texts, seed, LIST_SIZE, 1) for seed in range(ROUNDS)]
    crowds = [_shuffled(server, texts, seed, 1, CALLERS) for seed in range(ROUNDS)]
    return compare([label for _, label in rows], alone, lists, crowds)


def compare(
    source: Sequence[str], alone: Sequence[str], lists: Sequence[Sequence[str]], crowds: Sequence[Sequence[str]]
) -> Agreement:
    """Count; every argument holds one label a text, in the same order."""
    return Agreement(
        texts=len(source),
        agreement=sum(given == wanted for given, wanted in zip(alone, source, strict=True)) / len(source),
        depend_on_list=_changed(alone, lists),
        depend_on_company=_changed(alone, crowds),
    )


def _changed(alone: Sequence[str], rounds: Sequence[Sequence[str]]) -> int:
    """How many texts got another label in any of the rounds."""
    return sum(any(labels[index] != label for labels in rounds) for index, label in enumerate(alone))


def _shuffled(server: Server, texts: Sequence[str], seed: int, size: int, callers: int) -> list[str]:
    """Ask in an order of its own; the labels come back in the order of `texts`."""
    order = list(range(len(texts)))
    Random(seed).shuffle(order)
    labels = ask(server, [texts[index] for index in order], size, callers)
    return [label for _, label in sorted(zip(order, labels, strict=True))]


def ask(server: Server, texts: Sequence[str], size: int, callers: int) -> list[str]:
    """The label of each text, asked in requests of `size` texts by `callers` at once.

    Raises:
        InferenceFailed: a request was refused, or answered with too few labels.
    """
    waiting = deque(range(0, len(texts), size))
    labels: dict[int, list[str]] = {}
    faults: list[str] = []

    def call() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_TIMEOUT_SECONDS)
        try:
            while waiting and not faults:
                start = waiting.popleft()
                labels[start] = _post(connection, server, texts[start : start + size])
        except IndexError:  # another caller took the last one
            pass
        except (OSError, http.client.HTTPException, InferenceFailed, LookupError, TypeError, ValueError) as error:
            faults.append(f"{server.peer.name}: {type(error).__name__}: {error}")
        finally:
            connection.close()

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise InferenceFailed(f"{faults[0]}; its log is in the work folder")
    return [label for start in sorted(labels) for label in labels[start]]


def _post(connection: http.client.HTTPConnection, server: Server, texts: Sequence[str]) -> list[str]:
    connection.request("POST", server.peer.path, server.peer.encode(texts), _HEADERS)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise InferenceFailed(f"answered {answer.status}: {body[:300].decode(errors='replace')}")
    labels = server.peer.decode(body)
    if len(labels) != len(texts):
        raise InferenceFailed(f"{len(texts)} texts were sent and {len(labels)} labels came")
    return labels
