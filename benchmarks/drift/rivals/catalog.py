"""The rivals: what each needs and how it is told in tables.

Versions are pinned to the newest that installed together on Python 3.11 when this was written. Evidently 0.7.23 does
not import under pandas 3, whylogs' drift scores do not run under numpy 2.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Library:
    """What rivals run in: the name of an environment, and pip's requirements."""

    name: str
    requirements: tuple[str, ...]

    @property
    def versions(self) -> dict[str, str]:
        """Package to pinned version."""
        return dict(requirement.split("==") for requirement in self.requirements)


@dataclass(frozen=True, slots=True)
class Rival:
    """Something that watches windows.

    Attributes:
        name: as on the command line, and of its module beside this one.
        title: as in tables.
        statistic: what grows with drift, in words.
        verdict: when it says drift as it is shipped, in words.
        library: the environment that it runs in.
    """

    name: str
    title: str
    statistic: str
    verdict: str
    library: Library

    @property
    def module(self) -> str:
        """What its environment's interpreter runs."""
        return f"benchmarks.drift.rivals.{self.name}"


OURS = "tidegate"  # among contestants
_EVIDENTLY = Library(
    "evidently", ("evidently==0.7.23", "pandas==2.3.3", "numpy==2.4.6", "scikit-learn==1.9.1", "scipy==1.17.1")
)
_WHYLOGS = Library("whylogs", ("whylogs==1.6.4", "ipython==9.18.1", "numpy==1.26.4", "pandas==2.3.3", "scipy==1.17.1"))
_SCIPY = Library("scipy", ("scipy==1.17.1", "numpy==2.4.6"))

RIVALS = (
    Rival(
        "evidently_text",
        "Evidently, text drift",
        "AUC of its domain classifier",
        "AUC > 0.55, its rule above 1,000 reference rows",
        _EVIDENTLY,
    ),
    Rival(
        "evidently_columns",
        "Evidently, data drift on our descriptors",
        "smallest p-value of a column",
        "half of the columns drifted",
        _EVIDENTLY,
    ),
    Rival(
        "whylogs_profiles",
        "whylogs, drift of profiles",
        "smallest p-value of a column",
        "any column DRIFT (p < 0.05)",
        _WHYLOGS,
    ),
    Rival(
        "softmax_ks",
        "KS on softmax (BBSDs)",
        "smallest p-value of top probability and each class",
        "p < 0.05 after Bonferroni",
        _SCIPY,
    ),
)


LIBRARIES = (_EVIDENTLY, _WHYLOGS, _SCIPY)


def find(name: str) -> Rival:
    """The rival of that name.

    Raises:
        KeyError: there is none; its message lists them.
    """
    known = {rival.name: rival for rival in RIVALS}
    if name not in known:
        raise KeyError(f"no rival {name!r}; there are: {', '.join(known)}")
    return known[name]
