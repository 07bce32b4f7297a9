#!/bin/sh
# Rewrites constraints.txt: the newest versions that satisfy pyproject.toml with every extra, on the oldest Python
# (they must also exist for the newest). Needs uv. An existing pin is kept unless `--upgrade` is given.
set -eu
cd "$(dirname "$0")/.."
for python in 3.11 3.12; do
    cp constraints.txt "constraints.$python.tmp"
    uv pip compile pyproject.toml --all-extras --python-version $python --python-platform x86_64-manylinux_2_28 \
        --no-header --no-annotate --no-emit-index-url --quiet -o "constraints.$python.tmp" "$@"
done
echo "differences between Python 3.11 and 3.12, of which the older is kept:"
diff constraints.3.11.tmp constraints.3.12.tmp || true
{
    echo "# Exact versions for Python 3.11 and 3.12 on Linux, every extra included. Written by scripts/lock.sh."
    cat constraints.3.11.tmp
} >constraints.txt
rm constraints.3.11.tmp constraints.3.12.tmp
