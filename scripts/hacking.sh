#!/bin/sh
# A process reward that can be farmed, and what the reward contract makes of it: Reach from states, 20 demonstrations, three
# seeds of each condition in lock-step. A finished run is kept, so it may be stopped and started again.
#   scripts/hacking.sh [RUNS]     SEEDS="0" JOBS=1 for less; `python` with robot_rl on the PATH
set -eu
cd "$(dirname "$0")/.."
runs=${1:-runs}/hacking
mkdir -p "$runs"
for condition in naive sparse naive-monitor potential min-form; do echo "$condition"; done |
    SEEDS="${SEEDS:-0 1 2}" xargs -r -P "${JOBS:-$(nproc)}" -I CONDITION --process-slot-var=SLOT sh -c '
        echo "start CONDITION"
        # shellcheck disable=SC2086
        taskset -c "$((SLOT % $(nproc)))" python scripts/hacking.py run CONDITION "$0" $SEEDS >"$0/CONDITION.txt" 2>&1 ||
            echo "FAILED CONDITION: see $0/CONDITION.txt"
        tail -n 1 "$0/CONDITION.txt"
    ' "$runs"
python scripts/hacking.py figure "$runs"
