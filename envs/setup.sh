#!/bin/sh
# Make .venv with the pinned packages. Usage: envs/setup.sh [PYTHON]
# All output of pip goes to .venv/install.log; a problem is reported in one line.
set -u
python=${1:-python3}

fail() {
    echo "error: $1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    fail "$python not found: install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version 2>&1) is too old: Python 3.11 or newer is needed, name it: make PYTHON=python3.11"

[ -x .venv/bin/python ] || "$python" -m venv .venv >/dev/null 2>&1 ||
    fail "$python cannot make a virtual environment: install its venv module (Debian: python3-venv)"

echo "Installing $(grep -c == envs/requirements.txt) packages into .venv, a few minutes at the first time ..."
# Python compiles what is used at its first use; to compile all of it takes as long as to install it.
.venv/bin/python -m pip install --disable-pip-version-check --no-compile --retries 2 \
    -r envs/requirements.txt >.venv/install.log 2>&1 ||
    fail "cannot install the packages (no network?): $(grep -i error .venv/install.log | head -n 1); details in .venv/install.log"
# Unless Python may not keep what it compiles, as in many containers: each job would compile it again.
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then
    .venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1
fi
touch .venv/installed
