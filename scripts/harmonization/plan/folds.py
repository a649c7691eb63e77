"""Which subject plays which part in a fold, and what a fold with little data learns from."""

from dataclasses import dataclass
from typing import Any


def parts_of_fold(subjects: list[str], fold: int, validation_subjects: int) -> dict[str, list[str]]:
    """Split subjects for leave-one-out cross-validation.

    Subject number `fold`, counted from 0, is for testing; the next ones are for validation, and all
    others for training.
    """
    turned = subjects[fold:] + subjects[:fold]
    return {
        "test": turned[:1],
        "validation": turned[1 : 1 + validation_subjects],
        "train": turned[1 + validation_subjects :],
    }


@dataclass(frozen=True)
class Limit:
    """What one fold of a study of limited data learns from.

    Parameters
    ----------
    subjects : int
        Number of training subjects.
    patches : int or None
        Number of patches of each of them; None means all.
    draw : int
        Which of the draws of subjects and patches.
    draws : int
        Their number.
    """

    subjects: int
    patches: int | None
    draw: int
    draws: int

    def choose(self, train: list[str]) -> list[str]:
        """Subjects to learn from; within a draw, fewer subjects are among the more."""
        first = self.draw * len(train) // self.draws
        return (train[first:] + train[:first])[: self.subjects]


def read_limits(study: dict[str, Any] | None, train: list[str]) -> list[Limit]:
    """All folds of a study of limited data; none if the run is no such study.

    Of draws that take all patches of the same subjects there is one, for they are the same data.

    Parameters
    ----------
    study : dict or None
        ``limited_data`` of the configuration.
    train : list of str
        Training subjects of the fold that is repeated.
    """
    if study is None:
        return []
    draws = study["draws"]
    limits: dict[tuple, Limit] = {}
    for subjects in study["subjects"]:
        for patches in study["patches"]:
            for draw in range(draws):
                limit = Limit(subjects, patches, draw, draws)
                drawn = frozenset(limit.choose(train)) if patches is None else draw
                limits.setdefault((subjects, patches, drawn), limit)
    return list(limits.values())
