#!/bin/sh
# Creates .venv with the pinned dependencies and the package itself (editable). Does nothing when that has been done
# for the present pyproject.toml and constraints.txt. Needs Python 3.11 or 3.12 and a package index.
#   PYTHON=/path/to/python3.12 scripts/setup.sh     another interpreter
#   EXTRAS=dev,vision scripts/setup.sh              other extras (default: dev)
set -eu
cd "$(dirname "$0")/.."
extras=${EXTRAS:-dev}
usable='import ensurepip, sys, venv; raise SystemExit(not (3, 11) <= sys.version_info < (3, 13))'

stamp=.venv/.robot_rl_stamp
key=$({ pwd; echo "$extras"; cat pyproject.toml constraints.txt scripts/setup.sh; } | sha256sum | cut -c1-32)
if [ "$(cat $stamp 2>/dev/null)" = "$key" ] && .venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

started=$(date +%s)
if ! .venv/bin/python -c "$usable" 2>/dev/null; then
    # Asked by running: a version manager's shim can be on the PATH without the interpreter behind it.
    found=
    for candidate in ${PYTHON:-python3.12 python3.11 python3 python}; do
        if "$candidate" -c "$usable" 2>/dev/null; then
            found=$candidate
            break
        fi
    done
    if [ -z "$found" ]; then
        echo "robot_rl needs Python 3.11 or 3.12 with the venv module; none of '${PYTHON:-python3.12 python3.11 python3 python}'" \
            "is one. On Debian or Ubuntu: apt install python3 python3-venv. Elsewhere name one: make PYTHON=/path/to/python3.12" >&2
        exit 1
    fi
    echo "creating .venv with $("$found" --version)"
    rm -rf .venv
    "$found" -m venv .venv
fi

echo "installing robot_rl[$extras] and its pinned dependencies into .venv (3.2 GB on disk)"
if ! .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input \
    -c constraints.txt -e ".[$extras]"; then
    echo "pip could not install the dependencies; its last lines say which. Is a package index reachable?" >&2
    exit 1
fi
echo "$key" >$stamp
echo "set-up took $(($(date +%s) - started)) s"
