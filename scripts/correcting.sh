#!/bin/sh
# Correcting a frozen base policy in every way there is, beside learning without one, on PegInsert 0.2 mm: docs/choosing.md.
#   scripts/correcting.sh [RUNS]     scripts/study.sh tells of SEEDS and JOBS; STEPS=10000 of each run
set -eu
cd "$(dirname "$0")/.."
. scripts/study.sh
runs=${1:-runs}/correcting
task='PegInsert --task-options clearance_mm=0.2'
mkdir -p "$runs"

# The base: 20 demonstrations, a plan every 4 steps.
if [ ! -d "$runs/base" ]; then
    # shellcheck disable=SC2086
    [ -d "$runs/demos" ] || robot-rl demos record $task --n 100 --seed 100 --out "$runs/demos"
    # shellcheck disable=SC2086
    robot-rl bc $task --demos "$runs/demos" --n-demos 20 --objective edm --replan-every 4 --steps 3000 \
        --network.width 256 --out-dir "$runs/cloned" --no-report
    mv "$(ls -d "$runs"/cloned/PegInsert/*)" "$runs/base"
fi

common="PegInsert --task-options clearance_mm=0.2 --demos.n 20 --env-steps ${STEPS:-10000} --evaluation.every 2000"
on="--base $runs/base --base.replan-every 4"
study "$runs" "
edit    $common --edit edit $on
expo    $common --edit expo $on --base.proposals 4
rlt     $common --edit rlt $on
resfit  $common --edit resfit $on
ibrl    $common --edit ibrl $on --base.proposals 4
qc      $common --edit qc --base $runs/base --base.replan-every 3 --base.proposals 16
noise   $common --algorithm noise --base $runs/base
rlpd    $common
"

# shellcheck disable=SC2046
robot-rl compare $(groups "$runs" edit expo rlt resfit ibrl qc noise rlpd) --out docs/results \
    --title "PegInsert, 0.2 mm, on a base policy"
