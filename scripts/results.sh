#!/bin/sh
# The study of docs/results: five seeds of each condition in lock-step, so that every run can be repeated bit by bit.
# A finished run is kept, so the study may be stopped and started again.
#   scripts/results.sh [RUNS]                 `make results`
#   SEEDS="0 1" JOBS=1 scripts/results.sh     fewer seeds, one at a time (default: one per core)
set -eu
cd "$(dirname "$0")/.."
runs=${1:-runs}/study
seeds=${SEEDS:-0 1 2 3 4}
jobs=${JOBS:-$(nproc)}

# LABEL TASK FLAGS...
conditions='
peg-demos-corrections     PegInsert    --env-steps 14000 --demos.n 20 --corrections scripted
pick-demos-corrections    PickCube     --env-steps 8000  --demos.n 20 --corrections scripted
pick-demos                PickCube     --env-steps 8000  --demos.n 20 --corrections none
peg-alone                 PegInsert    --env-steps 5000  --demos.n 0  --corrections none
grasp-demos-corrections   GraspInsert  --env-steps 25000 --demos.n 20 --corrections scripted
'

finished() { grep -qs '"status": "finished"' "$1"/run.json; }

echo "$conditions" | while read -r label task flags; do
    [ -n "$label" ] || continue
    for seed in $seeds; do
        have=
        for run in "$runs/$label/$task"/*_seed"$seed"; do
            if finished "$run"; then have=1; fi
        done
        [ -n "$have" ] || echo "$label $task $seed $flags"
    done
done | xargs -r -P "$jobs" -L 1 --process-slot-var=SLOT sh -c '
    runs=$0 label=$1 task=$2 seed=$3; shift 3
    mkdir -p "$runs/$label"
    echo "start $label seed $seed"
    # A core for each run: two runs that share both cores are slower than two that have one each.
    taskset -c "$((SLOT % $(nproc)))" robot-rl train "$task" --preset laptop --lockstep --seed "$seed" --out-dir "$runs/$label" "$@" \
        --no-report >"$runs/$label/seed$seed.txt" 2>&1 ||
        echo "FAILED $label seed $seed: see $runs/$label/seed$seed.txt"
    tail -n 1 "$runs/$label/seed$seed.txt"
' "$runs"

# LABEL=RUN... for one figure: every finished seed of the conditions of one task.
groups() {
    for label in "$@"; do
        for run in "$runs/$label"/*/*_seed*; do
            if finished "$run"; then echo "$label=$run"; fi
        done
    done
}
# shellcheck disable=SC2046
robot-rl compare $(groups pick-demos pick-demos-corrections) --out docs/results --title "PickCube"
# shellcheck disable=SC2046
robot-rl compare $(groups peg-alone peg-demos-corrections) --out docs/results --title "PegInsert, 0.5 mm"
# shellcheck disable=SC2046
robot-rl compare $(groups grasp-demos-corrections) --out docs/results --title "GraspInsert, 1 mm"
