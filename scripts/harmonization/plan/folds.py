"""Which subject plays which part in a fold."""


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
