"""Which version may replace which: by both accuracies, a margin and chance."""

import pytest

from monitoring.labels.paired import compare, refusal


def rows(both: int, won: int, lost: int, neither: int = 0) -> tuple[list[bool], list[bool]]:
    live = [True] * both + [False] * won + [True] * lost + [False] * neither
    new = [True] * both + [True] * won + [False] * lost + [False] * neither
    return live, new


@pytest.mark.parametrize(
    ("both", "won", "lost", "refused"),
    [
        (400, 20, 20, False),  # the same
        (400, 40, 0, False),  # better
        (430, 8, 12, False),  # within the margin
        (400, 20, 26, False),  # beyond it, by chance as well
        (380, 20, 50, True),
        (18, 0, 2, False),  # two of twenty are chance
        (15, 0, 5, True),
        (0, 0, 0, False),
    ],
)
def test_worse_by_more_than_the_margin_and_by_more_than_chance_is_refused(
    both: int, won: int, lost: int, refused: bool
) -> None:
    compared = compare(*rows(both, won, lost, neither=10))

    assert bool(refusal(compared, 1.0)) is refused


def test_the_numbers_are_those_of_the_rows() -> None:
    compared = compare(*rows(50, 10, 20, neither=20))

    assert (compared.rows, compared.live, compared.new, compared.won, compared.lost) == (100, 0.7, 0.6, 10, 20)
    assert compared.difference == pytest.approx(-0.1)
    assert compared.low == pytest.approx(-0.2053, abs=1e-3)
    assert compared.chance == pytest.approx(0.0494, abs=1e-4)  # binomial, 20 or more of 30
    assert "10.0 points worse, 1 are allowed, and chance makes so much in 4.9% of cases" in refusal(compared, 1.0)


def test_a_wider_margin_lets_more_pass() -> None:
    assert refusal(compare(*rows(50, 10, 20, neither=20)), 12.0) == ""
