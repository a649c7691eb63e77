"""A headless Chromium, driven through pipes by its own protocol: no package is needed."""

import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--remote-debugging-pipe", "--disable-background-networking"),
    "--host-resolver-rules=MAP * ~NOTFOUND",  # there is no network
)
PATIENCE = 30  # seconds


class Page:
    """One page; `errors` has what its console complained of, `requests` what it tried to load.

    Parameters
    ----------
    send : file
        Where commands go, each ended by a zero byte.
    receive : int
        Descriptor that answers and events come from.
    """

    def __init__(self, send, receive):
        self.send, self.receive = send, receive
        self.rest, self.number, self.session = b"", 0, None
        self.errors, self.requests, self.events = [], [], set()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Run a command of the protocol; return its result."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": parameters}
        command |= {"sessionId": self.session} if self.session else {}
        self.send.write(json.dumps(command).encode() + b"\0")
        self.send.flush()
        while (answer := self.next()).get("id") != self.number:
            self.note(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def next(self):
        """Next answer or event."""
        while b"\0" not in self.rest:
            part = os.read(self.receive, 1 << 20)
            assert part, "the browser has gone"
            self.rest += part
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def note(self, event):
        method, said = event.get("method"), event.get("params", {})
        self.events.add(method)
        if method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        complaint = (
            method == "Runtime.exceptionThrown"
            or (method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning"))
            or (method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"))
        )
        if complaint:
            self.errors.append(json.dumps(said)[:1000])

    def open(self, url):
        """Load a page, with all that it asks for."""
        self.events.discard("Page.loadEventFired")
        self.call("Page.navigate", url=url)
        while "Page.loadEventFired" not in self.events:
            self.note(self.next())

    def value(self, expression):
        """Value of an expression in JavaScript."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression):
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.value(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)

    def click(self, selector):
        """Press and release the mouse in the middle of an element."""
        place = self.value(
            "(() => { const element = document.querySelector(" + json.dumps(selector) + ");"
            "element.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const box = element.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            where = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **where)

    def press(self, key, code):
        """Press and release a key that writes nothing, by its name and its virtual code."""
        for kind in ("keyDown", "keyUp"):
            named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", type=kind, **named)

    def write(self, text):
        """Type text into what has the focus."""
        self.call("Input.insertText", text=text)


@contextmanager
def browser(folder, size=(1400, 1000)):
    """A page of a browser that keeps all of its files in `folder`."""
    (to_read, to_write), (from_read, from_write) = os.pipe(), os.pipe()
    # The browser reads from descriptor 3 and writes to 4.
    shell = f'exec "$@" 3<&{to_read} 4>&{from_write}'
    options = [*OPTIONS, f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}"]
    process = subprocess.Popen(
        ["bash", "-c", shell, "browser", PROGRAM, *options, "about:blank"],
        pass_fds=(to_read, from_write),
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    os.close(to_read)
    os.close(from_write)
    try:
        with os.fdopen(to_write, "wb") as send:
            page = Page(send, from_read)
            yield page
            with suppress(AssertionError, OSError):
                page.session = None
                page.call("Browser.close")
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
        os.close(from_read)
