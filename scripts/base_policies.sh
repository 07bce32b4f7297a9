#!/bin/sh
# Cloning PegInsert 0.2 mm from 20, 50 and 100 demonstrations of the scripted expert: how often each objective succeeds,
# and how much depends on how often it plans. A finished run is kept, so this may be stopped and started again.
#   scripts/base_policies.sh [RUNS]     OBJECTIVES="edm" COUNTS="50 100" EPISODES=100 change what is run
set -eu
cd "$(dirname "$0")/.."
. scripts/study.sh
runs=${1:-runs}/base
task="PegInsert --task-options clearance_mm=0.2"

mkdir -p "$runs"
# shellcheck disable=SC2086
[ -d "$runs/demos" ] || robot-rl demos record $task --n 100 --seed 100 --out "$runs/demos"

# clone LABEL OBJECTIVE COUNT REPLAN_EVERY
clone() {
    out=$runs/$1
    for run in "$out"/PegInsert/*; do
        if finished "$run"; then return; fi
    done
    mkdir -p "$out"
    # shellcheck disable=SC2086
    OMP_NUM_THREADS=1 robot-rl bc $task --demos "$runs/demos" --n-demos "$3" --objective "$2" --replan-every "$4" \
        --steps 3000 --network.width 256 --eval-episodes "${EPISODES:-100}" --out-dir "$out" --no-report \
        >"$out/log.txt" 2>&1 || echo "FAILED $1: see $out/log.txt"
    echo "$1: $(tail -n 1 "$out/log.txt")"
}

for count in ${COUNTS:-100 50 20}; do
    for objective in ${OBJECTIVES:-edm ddpm flow regression}; do
        clone "$objective$count" "$objective" "$count" 4
    done
done
for every in 1 2 8; do
    clone "edm100-every$every" edm 100 "$every"
done
