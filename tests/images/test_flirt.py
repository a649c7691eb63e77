"""FSL's FLIRT: its matrices are understood, and its failures are reported."""

import json
import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from harmonization.files import read_json
from harmonization.images.flirt import flirt_space, from_flirt
from harmonization.images.nifti import write_image

# Stand-in for flirt: it notes how it was called, and writes the matrix it was given.
STAND_IN = """#!{python}
import json, pathlib, sys
import nibabel as nib, numpy as np
arguments = dict(zip(sys.argv[1:], sys.argv[2:]))
shapes = [nib.load(arguments[name]).shape for name in ("-in", "-ref")]
start = np.loadtxt(arguments["-init"]).tolist()
note = {{"arguments": sys.argv[1:], "shapes": shapes, "start": start}}
pathlib.Path("{note}").write_text(json.dumps(note))
if "{matrix}":
    pathlib.Path(arguments["-omat"]).write_text("{matrix}")
sys.stderr.write("{message}")
sys.exit({status})
"""


@pytest.fixture
def flirt(tmp_path, monkeypatch):
    """Put a stand-in for flirt on the PATH; return the file in which it notes its call."""

    def stand_in(matrix="", message="", status=0):
        note = tmp_path / "call.json"
        program = tmp_path / "bin/flirt"
        program.parent.mkdir()
        program.write_text(
            STAND_IN.format(
                python=sys.executable, note=note, matrix=matrix, message=message, status=status
            )
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        return note

    return stand_in


@pytest.fixture
def scans(tmp_path, rng):
    """Options to register two scans; the moving scan is the fixed one, one voxel further back."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    data = np.ones((8, 9, 10, 3), np.float32)
    data[1:-1, 2:-2, 2:-2] += 5 * rng.random((6, 5, 6, 1))
    options = {"program": "flirt", "model": "rigid"}
    for name, image in (("fixed", data), ("moving", np.roll(data, -1, axis=1)[..., :2])):
        bvals = np.array([0.0, 1000, 1000])[: image.shape[-1]]
        files = [tmp_path / f"{name}{end}" for end in (".nii.gz", ".bval", ".bvec", "_mask.nii")]
        write_image(files[0], image, affine)
        files[1].write_text(" ".join(map(str, bvals)))
        files[2].write_text("1 0 0\n" * len(bvals))
        write_image(files[3], np.uint8(image[..., 0] > 1), affine)
        options[name] = files
    return options | {name: tmp_path / f"out/{name}" for name in ("transform", "quality")}


def as_text(matrix):
    return "\\n".join(" ".join(map(str, row)) for row in matrix)


def test_flirt_is_called_and_its_matrix_becomes_ours(command, flirt, scans):
    # By hand: the moving scan lies 2 mm further back, and FLIRT brings it 2 mm forward, so the
    # transform from the fixed world to the moving one leads 2 mm back.
    matrix = np.eye(4)
    matrix[:3, 3] = [0, 2, 0]
    note = flirt(as_text(matrix))
    assert command("register", scans) == (0, "")
    call = json.loads(note.read_text())
    options = dict(zip(call["arguments"][::2], call["arguments"][1::2], strict=False))
    assert options["-dof"] == "6"
    assert options["-cost"] == "normmi"
    assert call["arguments"][call["arguments"].index("-searchry") + 1 :][:2] == ["-30", "30"]
    assert call["shapes"] == [[8, 9, 10], [8, 9, 10]]
    np.testing.assert_allclose(call["start"], np.eye(4))
    expected = np.eye(4)
    expected[1, 3] = -2
    np.testing.assert_allclose(np.loadtxt(scans["transform"]), expected, atol=1e-9)
    assert read_json(scans["quality"])["shift"] == pytest.approx(2)


def test_the_first_axis_is_reversed_where_the_affine_is_right_handed():
    matrix = np.eye(4)
    matrix[:3, 3] = [3, 0, 0]
    right = np.diag([2.0, 2, 2, 1])
    left = np.diag([-2.0, 2, 2, 1])
    expected = np.eye(4)
    expected[0, 3] = 3
    for affine in (right, left):
        space = flirt_space((8, 9, 10), affine)
        found = from_flirt(matrix, space, space)
        np.testing.assert_allclose(found, expected, atol=1e-9)
    # The moving grid is longer but has the same first voxel: FLIRT counts from the other end.
    spaces = flirt_space((8, 9, 10), right), flirt_space((10, 9, 10), right)
    found = from_flirt(np.eye(4), *spaces)
    expected[0, 3] = 4
    np.testing.assert_allclose(found, expected, atol=1e-9)


@given(
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
    flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    shift=st.tuples(*[st.floats(-20, 20)] * 3),
)
@settings(max_examples=25, deadline=None)
def test_flirt_counts_in_millimetres_from_the_first_voxel(turn, flips, shift):
    """Whatever the affine, FLIRT's spaces agree on lengths and handedness."""
    rotation = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    affine, shape = np.eye(4), (5, 6, 7)
    affine[:3, :3] = rotation @ np.diag(flips) * [1.2, 1.3, 2.4]
    affine[:3, 3] = shift
    space = flirt_space(shape, affine)
    # One voxel along each axis, as FLIRT sees it.
    steps = (space @ affine)[:3, :3]
    reversed_first = np.linalg.det(affine[:3, :3]) > 0
    expected = np.diag([-1.2 if reversed_first else 1.2, 1.3, 2.4])
    np.testing.assert_allclose(steps, expected, atol=1e-9)
    first = [4 if reversed_first else 0, 0, 0, 1]
    np.testing.assert_allclose((space @ affine @ first)[:3], 0, atol=1e-9)
    assert np.linalg.det(space[:3, :3]) == pytest.approx(-1)
    # FLIRT's identity is the identity in the world too.
    np.testing.assert_allclose(from_flirt(np.eye(4), space, space), np.eye(4), atol=1e-9)


@pytest.mark.parametrize(
    ("stand_in", "finding"),
    [
        ({"message": "out of memory", "status": 3}, "exit status 3 (out of memory)"),
        ({"status": 0}, "exit status 0 (no message)"),
        ({"matrix": "1 0 0 0"}, "no transform"),
        ({"matrix": "no numbers"}, "no transform"),
        ({"matrix": "nan 0 0 0\\n0 1 0 0\\n0 0 1 0\\n0 0 0 1"}, "no transform"),
    ],
)
def test_a_flirt_that_fails_is_told(command, flirt, scans, stand_in, finding):
    flirt(**stand_in)
    status, error = command("register", scans)
    assert (status, len(error.splitlines())) == (1, 1)
    assert finding in error
    assert not scans["transform"].exists()


def test_without_flirt_one_line_says_what_to_do(command, scans, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    status, error = command("register", scans)
    assert (status, len(error.splitlines())) == (1, 1)
    assert "flirt is not on the PATH; install FSL" in error


def test_a_flirt_that_finds_nonsense_stops_the_run(command, flirt, scans):
    flirt(as_text(np.diag([1.5, 1, 1, 1])))
    status, error = command("register", scans)
    assert (status, len(error.splitlines())) == (1, 1)
    assert "moving.nii.gz: did not register to" in error
    assert "stretches the head" in error
