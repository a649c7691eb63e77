"""Where the files of a run lie.

Who gets a folder from here as a whole, such as a model's or that of all tables, knows the names in
it. Workflows that compare runs name their own results.
"""

from pathlib import Path

VALID_ENDS = {
    "bval": ".bval",
    "bvec": ".bvec",
    "mask": "_mask.nii.gz",
    "sidecar": ".json",
    "report": "_report.json",
}


def expand_models(
    pattern: str, models: dict[str, dict[str, list[int]]], folds: dict[str, list[str]]
) -> list[str]:
    """Files of models, or of their predictions.

    A rule that lists thousands of files would exceed what one argument of a process may hold, so
    commands get what distinguishes the files instead.

    Parameters
    ----------
    pattern : str
        Path with the wildcards method, target, fold, seed and, for predictions, subject.
    models : dict
        Seeds, by method and by target.
    folds : dict
        Test subjects, by fold.
    """
    return list(
        dict.fromkeys(
            pattern.format(method=method, target=target, fold=fold, seed=seed, subject=subject)
            for method, targets in models.items()
            for target, seeds in targets.items()
            for fold, subjects in folds.items()
            for seed in seeds
            for subject in subjects
        )
    )


class RunPaths:
    """Path patterns of one run, with Snakemake's wildcards in braces.

    A *scan* is ``scan``, ``rescan`` (the repeat), ``truth`` (the first scan without its noise) or
    ``denoised`` (the first scan with less noise).

    Parameters
    ----------
    results : str
        Folder of the run, ``results/<run>``.
    """

    def __init__(self, results: str) -> None:
        self.results = results
        self.config = f"{results}/config.yaml"

        self.validation = f"{results}/validation.txt"
        self.bids = f"{results}/bids"
        self.dataset_description = f"{self.bids}/dataset_description.json"
        self.participants = f"{self.bids}/participants.tsv"
        self.labels = f"{self.bids}/desc-{{kind}}_dseg.tsv"
        self.atlas = f"{results}/phantom/atlas.npz"
        named = "sub-{subject}_ses-{session}_acq-{acquisition}"
        self.noise_level = f"{results}/phantom/noise/{named}.nii"

        on_grid = "sub-{subject}_platform-{platform}"
        self._valid = f"{results}/validated/{{stage}}{on_grid}"
        self._steps = f"{results}/preprocessing/{{step}}/{on_grid}"
        self.denoised = f"{results}/denoised/{{scan}}/{on_grid}.nii"
        self.cropped = f"{results}/cropped/{{scan}}/{on_grid}.nii"
        self.cropped_mask = f"{results}/cropped/{{scan}}/{on_grid}_mask.nii.gz"
        self.transform = f"{results}/registration/{{scan}}/{on_grid}.txt"
        self.quality = f"{results}/registration/{{scan}}/{on_grid}.json"
        self.sh = f"{results}/sh/{{scan}}/{on_grid}.nii"
        self.sh_mask = f"{results}/sh/{{scan}}/{on_grid}_mask.nii"
        self.sh_sidecar = f"{results}/sh/{{scan}}/{on_grid}.json"
        self.expected = f"{results}/expected/{on_grid}.nii"
        self.expected_variance = f"{results}/expected/{on_grid}_variance.nii"

        self.manifest = f"{results}/splits/fold-{{fold}}{{selection}}.json"
        self.scoring = f"{results}/splits/fold-{{fold}}_scoring.json"

        self.template = f"{results}/template/fold-{{fold}}{{selection}}/template.nii"
        warp = f"{results}/template/fold-{{fold}}{{selection}}/sub-{{subject}}"
        self.to_head = f"{warp}_to-head.nii"
        self.to_template = f"{warp}_to-template.nii"

        trained = "{method}/{target}/fold-{fold}_seed-{seed}"
        self.model = f"{results}/models/{trained}"
        self.weights = f"{self.model}/weights.safetensors"
        self.card = f"{self.model}/card.json"
        self.history = f"{self.model}/history.csv"
        self.tuning = f"{results}/tuning/{{method}}.json"
        self.checkpoints = f"{results}/checkpoints/{trained}"
        self.fit_benchmark = self.benchmark("fit", self.model)

        predicted = "{method}/fold-{fold}_seed-{seed}/sub-{subject}_platform-{target}"
        self.prediction = f"{results}/predictions/{predicted}.nii"
        scored = "{method}/fold-{fold}/sub-{subject}"
        self.predictions = f"{results}/predictions/{scored}"
        self.scores = f"{results}/evaluation/{scored}.csv"
        self.slice = f"{results}/evaluation/{scored}_platform-{{target}}_slice.npz"

        self.metrics = f"{results}/metrics.csv"
        self.references = f"{results}/references.bib"
        self.page = f"{results}/index.html"
        self.provenance = f"{results}/provenance.json"
        self.table = f"{results}/tables/{{table}}.{{format}}"
        self.figure = f"{results}/figures/{{figure}}.{{format}}"

    def valid(self, role: str, stage: str = "") -> str:
        """File that the validation of a scan writes; `stage` is ``raw`` before preprocessing."""
        stage = f"{stage}/" if stage else ""
        return self._valid.replace("{stage}", stage) + VALID_ENDS[role]

    def step(self, name: str, end: str = "nii") -> str:
        """Result of one preprocessing step on a raw scan."""
        return f"{self._steps}.{end}".replace("{step}", name)

    def spent_checkpoints(self) -> list[Path]:
        """Folders with the checkpoints of models that are there."""
        root, models = Path(self.results, "checkpoints"), Path(self.results, "models")
        weights = Path(self.weights).name
        folders = root.glob("*/*/fold-*_seed-*")
        return [f for f in folders if (models / f.relative_to(root) / weights).exists()]

    def log(self, rule: str, pattern: str) -> str:
        """Log of a rule's job that makes `pattern`."""
        return f"{self.results}/logs/{rule}/{self._within_run(pattern)}.log"

    def benchmark(self, rule: str, pattern: str) -> str:
        """Seconds and memory of a rule's job that makes `pattern`, measured by Snakemake."""
        return f"{self.results}/benchmarks/{rule}/{self._within_run(pattern)}.tsv"

    def _within_run(self, pattern: str) -> str:
        return str(Path(pattern).relative_to(self.results))


class BidsScan:
    """Names of the files of one scan in a BIDS derivative data set.

    Parameters
    ----------
    bids : str or Path
        Root of the data set.
    subject, session, acquisition, run : str
        Values of the BIDS entities ``sub``, ``ses``, ``acq`` and ``run``; may be wildcards.
    truth : bool
        Whether this is the noise-free series. Only a phantom has one, and tissue and region labels.
    """

    def __init__(
        self,
        bids: str | Path,
        subject: str,
        session: str,
        acquisition: str,
        run: str = "1",
        truth: bool = False,
    ) -> None:
        folder = f"{bids}/sub-{subject}/ses-{session}/dwi"
        stem = f"{folder}/sub-{subject}_ses-{session}_acq-{acquisition}_run-{run}"
        series = f"{stem}_desc-{'truth' if truth else 'preproc'}_dwi"
        self.dwi = f"{series}.nii"  # packing series between jobs would cost more than the disk
        self.bval = f"{series}.bval"
        self.bvec = f"{series}.bvec"
        self.sidecar = f"{series}.json"
        self.mask = f"{stem}_desc-brain_mask.nii.gz"
        self.tissue = f"{stem}_desc-tissue_dseg.nii.gz"
        self.regions = f"{stem}_desc-region_dseg.nii.gz"

    @property
    def series(self) -> dict[str, str]:
        """Image, gradient tables and sidecar, by role."""
        return {"dwi": self.dwi, "bval": self.bval, "bvec": self.bvec, "sidecar": self.sidecar}

    @property
    def labels(self) -> dict[str, str]:
        """Brain mask, and labels of tissue and region, by role."""
        return {"mask": self.mask, "tissue": self.tissue, "regions": self.regions}
