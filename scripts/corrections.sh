#!/bin/sh
# What corrections are worth and what learning makes of them: PegInsert at 0.2 mm, 20 demonstrations, the scripted
# corrector in a person's place, five seeds of each condition. Cloning makes as many gradient steps as the others.
#   scripts/corrections.sh [RUNS]     scripts/study.sh tells of SEEDS and JOBS
set -eu
cd "$(dirname "$0")/.."
. scripts/study.sh
runs=${1:-runs}/corrections

task='PegInsert --task-options clearance_mm=0.2 --demos.n 20'
study "$runs" "
corrections          $task --env-steps 32000 --corrections scripted
alone                $task --env-steps 32000 --corrections none
hg-dagger            $task --env-steps 20000 --corrections scripted --algorithm bc --pace.warmup-updates 2000
cloning              $task --env-steps 0     --corrections none     --algorithm bc --pace.warmup-updates 20000
charged-before       $task --env-steps 26000 --corrections scripted --interventions.before-s 1.5 --agent.q-range -1.67 1
recent-first         $task --env-steps 26000 --corrections scripted --interventions.recency-half-life-steps 5000
"

# shellcheck disable=SC2046
robot-rl compare $(groups "$runs" corrections alone hg-dagger cloning) --out docs/results \
    --title "PegInsert, 0.2 mm, corrections"
# shellcheck disable=SC2046
robot-rl compare $(groups "$runs" corrections charged-before recent-first) --out docs/results \
    --title "PegInsert, 0.2 mm, learning from take-overs"
