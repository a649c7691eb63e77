"""A server that mimics OpenNeuro's bucket and mirror, and fails in every way that servers do."""

import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def link_to(content: bytes, algorithm: str = "sha256") -> bytes:
    """Entry of an annexed file, as OpenNeuro's mirror shows it."""
    digest = hashlib.new(algorithm, content).hexdigest()
    key = f"{algorithm.upper()}E-s{len(content)}--{digest}.nii.gz"
    return f"../../../.git/annex/objects/wz/z0/{key}/{key}".encode()


class QuietServer(ThreadingHTTPServer):
    """Says nothing about clients that hang up."""

    def handle_error(self, *_):
        pass


class Server:
    """A bucket and a mirror; `faults` lists how the bucket fails on its next requests."""

    def __init__(self, files: dict[str, bytes], accession: str, version: str) -> None:
        self.content = {}
        for path, content in files.items():
            self.content[f"/bucket/{accession}/{path}"] = content
            is_small = not path.endswith(".nii.gz")
            self.content[f"/mirror/{accession}/{version}/{path}"] = (
                content if is_small else link_to(content)
            )
        self.faults: list[str] = []
        self.requests: list[tuple[str, str | None]] = []
        self.at_once, self.most_at_once = 0, 0
        self.lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                owner.answer(self)

            def log_message(self, *_):
                pass

        self.server = QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request) -> None:
        with self.lock:
            wanted = request.headers.get("Range")
            self.requests.append((request.path, wanted))
            image = request.path.startswith("/bucket") and request.path.endswith(".nii.gz")
            fault = self.faults.pop(0) if image and self.faults else ""
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.send(request, wanted, fault)
        finally:
            with self.lock:
                self.at_once -= 1

    def send(self, request, wanted, fault) -> None:
        content = self.content.get(request.path)
        if content is None or fault.isdigit():
            request.send_error(int(fault) if fault.isdigit() else 404)
            return
        if fault == "other":
            content = content[::-1]
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if fault == "no range":
            wanted, first = None, 0
        if first >= len(content) > 0:
            request.send_error(416)
            return
        body = content[first:] + (b"more" if fault == "longer" else b"")
        request.send_response(206 if wanted else 200)
        # A cut connection ends before the promised length; a truncated answer promises less.
        sent = body[: len(body) // 3] if fault in ("cut", "truncated") else body
        request.send_header("Content-Length", str(len(sent if fault == "truncated" else body)))
        if wanted:
            request.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        request.wfile.write(sent)
        request.wfile.flush()
        if fault == "cut":
            request.connection.shutdown(socket.SHUT_RDWR)
