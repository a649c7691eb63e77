"""Which subject plays which part in a fold."""


def parts_of_fold(subjects: list[str], fold: int, validation_subjects: int) -> dict[str, list[str]]:
    """Split subjects for leave-one-out: the fold-th is the test, the next ones validate."""
    turned = subjects[fold:] + subjects[:fold]
    return {
        "test": turned[:1],
        "validation": turned[1 : 1 + validation_subjects],
        "train": turned[1 + validation_subjects :],
    }
