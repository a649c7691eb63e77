"""Downloads, from a real server on loopback that fails in every way that servers do."""

import hashlib
import socket
import threading
from pathlib import Path

import pytest
from openneuro import Server, link_to

import harmonization.data.openneuro
from harmonization.data.openneuro import Content, content_of, download
from harmonization.files import sha256

SCAN = "sub-1/ses-A/dwi/sub-1_ses-A_dir-AP_dwi"
IMAGE = hashlib.shake_256(b"an image").digest(3_000_000)
FILES = {
    f"{SCAN}.nii.gz": IMAGE,
    f"{SCAN}.bval": b"0 1000\n",
    f"{SCAN}.bvec": b"0 1\n0 0\n0 0\n",
    f"{SCAN}.json": b'{"EchoTime": 0.096}\n',
}
DIGESTS = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(harmonization.data.openneuro, "WAITS", (0.01, 0.02, 0.03, 0.04))
    server = Server(FILES, "ds1", "1.0")
    yield server
    server.close()


@pytest.fixture
def get(command, server, tmp_path):
    def run(url=None, paths=tuple(FILES)):
        options = {
            "paths": list(paths),
            "root": tmp_path / "data",
            "mirror": f"{url or server.url}/mirror/ds1/1.0",
            "bucket": f"{url or server.url}/bucket/ds1",
        }
        return command("download", options)

    return run


def arrived(tmp_path: Path) -> dict[str, str]:
    root = tmp_path / "data"
    files = (p for p in root.rglob("*") if p.is_file() and ".partial" not in p.parts)
    return {str(p.relative_to(root)): sha256(p) for p in files}


def refused(status_and_error: tuple[int, str]) -> str:
    status, error = status_and_error
    assert status == 1
    assert len(error.splitlines()) == 1, error
    return error


def ranges(server) -> list[str | None]:
    return [r for path, r in server.requests if path == f"/bucket/ds1/{SCAN}.nii.gz"]


def test_a_scan_arrives_whole(get, tmp_path):
    assert get() == (0, "")
    assert arrived(tmp_path) == DIGESTS
    assert not list((tmp_path / "data/.partial").iterdir())


@pytest.mark.parametrize(
    "faults",
    [
        ["500"],
        ["503", "429", "500", "502"],
        ["cut"],
        ["truncated"],
        ["cut", "500", "truncated", "cut"],
        ["cut", "no range"],
    ],
    ids=" ".join,
)
def test_what_may_pass_is_tried_again(get, server, tmp_path, faults):
    server.faults = list(faults)
    assert get() == (0, "")
    assert arrived(tmp_path) == DIGESTS
    failures = [fault for fault in faults if fault != "no range"]
    assert len(ranges(server)) == len(failures) + 1


def test_a_cut_download_goes_on_from_where_it_stopped(get, server, tmp_path):
    server.faults = ["cut"] * 5
    error = refused(get())
    assert f"{SCAN}.nii.gz: the connection" in error
    assert "5 times; is 127.0.0.1:" in error
    # An incomplete scan leaves no files under their names, not even the complete ones.
    assert arrived(tmp_path) == {}
    server.requests.clear()
    assert get() == (0, "")
    assert arrived(tmp_path) == DIGESTS
    (continued,) = ranges(server)
    assert int(continued.removeprefix("bytes=").removesuffix("-")) > len(IMAGE) // 2


def test_what_is_whole_already_is_not_sent_again(get, server, tmp_path):
    server.content.pop(f"/bucket/ds1/{SCAN}.bvec")
    refused(get())
    server.content[f"/bucket/ds1/{SCAN}.bvec"] = FILES[f"{SCAN}.bvec"]
    server.requests.clear()
    assert get() == (0, "")
    assert ranges(server) == []
    assert arrived(tmp_path) == DIGESTS


def test_a_bad_rest_of_an_earlier_download_is_thrown_away(get, server, tmp_path):
    digest = hashlib.sha256(IMAGE).hexdigest()
    rest = tmp_path / "data/.partial" / f"{Path(SCAN).name}.nii.gz.{digest[:16]}"
    rest.parent.mkdir(parents=True)
    rest.write_bytes(b"rubbish")
    assert get() == (0, "")
    assert arrived(tmp_path) == DIGESTS
    assert ranges(server) == ["bytes=7-", None]


@pytest.mark.parametrize(
    ("faults", "finding"),
    [
        (["404"], "the server has no such file (status 404); check dataset.subjects"),
        (["403"], "the server has no such file (status 403)"),
        (["500"] * 5, "the server failed (status 500), 5 times"),
        (["other"], "what came has sha256"),
        (["longer"], "is dataset.openneuro.version the one that the bucket holds?"),
    ],
)
def test_what_will_not_pass_is_one_line(get, server, tmp_path, faults, finding):
    server.faults = faults
    error = refused(get())
    assert f"/bucket/ds1/{SCAN}.nii.gz: " in error
    assert finding in error
    assert arrived(tmp_path) == {}


def test_a_shorter_file_is_another_version(get, server, tmp_path):
    server.content[f"/bucket/ds1/{SCAN}.nii.gz"] = IMAGE[:1000]
    error = refused(get())
    assert "the server's file is shorter than that of this version" in error
    assert arrived(tmp_path) == {}


def test_a_wrong_gradient_table_is_refused_too(get, server, tmp_path):
    server.content[f"/bucket/ds1/{SCAN}.bval"] = b"0 3000\n"
    assert "sub-1_ses-A_dir-AP_dwi.bval: what came has sha256" in refused(get())
    assert arrived(tmp_path) == {}


def test_a_version_without_the_file_is_told(get):
    error = refused(get(paths=["sub-2/x.nii.gz"]))
    assert "/mirror/ds1/1.0/sub-2/x.nii.gz: the server has no such file (status 404)" in error


def test_a_login_page_in_the_place_of_the_mirror_is_no_link(get, server):
    server.content[f"/mirror/ds1/1.0/{SCAN}.nii.gz"] = b"<html>Please log in</html>"
    error = refused(get())
    assert f"{SCAN}.nii.gz: the mirror has neither a link nor the file, but b'<html>" in error


def test_a_full_disk_is_one_line(get, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(harmonization.data.openneuro, "_copy", full)
    assert "No space left on device" in refused(get())


def test_offline_one_line_says_so(get):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    error = refused(get(f"http://{address}"))
    assert "the connection failed" in error
    assert f"is {address} reachable from here?" in error
    assert "object at 0x" not in error


def test_a_name_that_no_server_has_is_told(get):
    error = refused(get("http://no-such-host.invalid"))
    assert "is no-such-host.invalid reachable from here?" in error


def test_several_files_come_at_once(get, server):
    together = threading.Barrier(4, timeout=30)
    send = server.send

    def wait_for_the_others(request, *details):
        if request.path.startswith("/bucket"):
            together.wait()
        send(request, *details)

    server.send = wait_for_the_others
    assert get() == (0, "")
    assert server.most_at_once == 4


def test_files_with_the_same_content_all_arrive(get, server, tmp_path):
    other = SCAN.replace("AP", "PA")
    server.content |= {
        path.replace("AP", "PA"): content for path, content in server.content.items()
    }
    assert get(paths=[f"{SCAN}.bval", f"{other}.bval", f"{other}.nii.gz"]) == (0, "")
    assert arrived(tmp_path)[f"{SCAN}.bval"] == arrived(tmp_path)[f"{other}.bval"]


def test_progress_is_told(server, tmp_path, monkeypatch):
    monkeypatch.setattr(harmonization.data.openneuro, "REPORT_EVERY", 0)
    said = []
    urls = f"{server.url}/mirror/ds1/1.0", f"{server.url}/bucket/ds1"
    download(list(FILES), tmp_path, *urls, said.append)
    assert any("of 3 MB" in line and "s left" in line for line in said)
    assert f"{SCAN}.nii.gz: whole, 3000000 bytes, sha256 as expected" in said


def test_entries_of_the_mirror_are_told_apart():
    # As in the mirror of ds004712.
    digest = "ff133fa3ec3d55141d9094d9eebabb25fdabb2a654cd39086b351e4283aa2ee2"
    key = f"SHA256E-s1192921--{digest}.nii.gz"
    link = f"../../../.git/annex/objects/wz/z0/{key}/{key}".encode()
    assert content_of("x.nii.gz", link) == Content(1192921, "sha256", digest)
    digest = hashlib.md5(b"abc").hexdigest()
    assert content_of("x.nii.gz", link_to(b"abc", "md5")) == Content(3, "md5", digest)
    text = b"0 1000\n"
    assert content_of("x.bval", text) == Content(7, "sha256", hashlib.sha256(text).hexdigest())
