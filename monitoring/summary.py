"""A summary: all that is known of some predictions for scoring them, a vector of sums.

Summaries of windows, workers and machines add up exactly: counts are whole numbers, which float64 adds without error
up to 2**53, and the few real sums (kernel features, softmax) to 15 digits in any order. What each place of the vector
means is said by the `layout` of the bundle's reference. Before: `layout`; after: `drift`, `windows`, `periods`.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Summary:
    """Sums over some predictions of one model version.

    Attributes:
        rows: predictions; a fraction in windows that forget (`alarm`).
        sums: float64 (width,).
    """

    rows: float
    sums: NDArray[np.float64]

    @classmethod
    def empty(cls, width: int) -> Self:
        """Of no predictions."""
        return cls(0.0, np.zeros(width))

    def __add__(self, other: "Summary") -> "Summary":
        """Both at once."""
        return Summary(self.rows + other.rows, self.sums + other.sums)

    def scaled(self, factor: float) -> "Summary":
        """As if each prediction counted `factor` times."""
        return Summary(self.rows * factor, self.sums * factor)

    def to_bytes(self) -> bytes:
        """For the state database: 8 bytes a number, little-endian, rows first."""
        return np.concatenate([[self.rows], self.sums]).astype("<f8").tobytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` wrote."""
        numbers = np.frombuffer(content, dtype="<f8").astype(np.float64)
        return cls(float(numbers[0]), numbers[1:])


def together(first: Summary, second: Summary) -> Summary:
    """Both; where one was counted without its bundle, so that nobody knew the layout, only the rows of both."""
    if len(first.sums) == len(second.sums):
        return first + second
    return Summary(first.rows + second.rows, np.zeros(0))
