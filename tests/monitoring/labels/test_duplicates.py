"""Near duplicates are texts that share words and direction; neither alone makes one."""

import numpy as np

from monitoring.labels.duplicates import repeats, units

NONE = np.zeros((0, 2), dtype=np.float32)


def stored(*vectors: tuple[float, ...]) -> list[bytes | None]:
    return [np.array(vector, dtype=np.float16).tobytes() for vector in vectors]


def test_stored_embeddings_have_length_one_or_none() -> None:
    read = units([*stored((3, 4), (0, 0), (np.inf, 1)), None, *stored((1, 2, 3))])

    assert read.shape == (5, 2)
    assert np.linalg.norm(read, axis=1).round(3).tolist() == [1, 0, 0, 0, 0]
    assert units([None, None]).shape == (2, 0)


def test_a_text_that_repeats_a_known_or_an_earlier_one_is_a_duplicate() -> None:
    texts = ["profit rose in May", "profit rose in June", "sales fell", "Profit rose, in May!"]
    vectors = units(stored((1, 0), (1, 0.1), (0, 1), (1, 0)))

    assert repeats(texts, vectors, [], NONE).tolist() == [False, True, False, True]
    assert repeats(texts, vectors, ["sales fell again"], units(stored((0.1, 1)))).tolist() == [False, True, True, True]


def test_unlike_texts_in_one_direction_are_none() -> None:
    vectors = units(stored((1, 0), (1, 0)))
    assert repeats(["profit rose", "a wonderful film"], vectors, [], NONE).tolist() == [False, False]


def test_like_texts_in_two_directions_are_none() -> None:
    vectors = units(stored((1, 0), (0, 1)))
    assert repeats(["profit rose", "profit rose not"], vectors, [], NONE).tolist() == [False, False]


def test_embeddings_of_another_space_are_like_nothing() -> None:
    vectors = units(stored((1, 0)))
    assert repeats(["profit rose"], vectors, ["profit rose"], units(stored((1, 0, 0)))).tolist() == [False]


def test_texts_without_embeddings_are_left_to_their_digests() -> None:
    nothing = units([None, None])
    assert repeats(["profit rose", "profit rose"], nothing, ["profit rose"], nothing[:1]).tolist() == [False, False]
