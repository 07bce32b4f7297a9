#!/bin/sh
# The study of docs/results: five seeds of each condition.
#   scripts/results.sh [RUNS]     `make results`; scripts/study.sh tells of SEEDS and JOBS
set -eu
cd "$(dirname "$0")/.."
. scripts/study.sh
runs=${1:-runs}/study

study "$runs" '
peg-demos-corrections     PegInsert    --env-steps 14000 --demos.n 20 --corrections scripted
pick-demos-corrections    PickCube     --env-steps 8000  --demos.n 20 --corrections scripted
pick-demos                PickCube     --env-steps 8000  --demos.n 20 --corrections none
peg-alone                 PegInsert    --env-steps 5000  --demos.n 0  --corrections none
grasp-demos-corrections   GraspInsert  --env-steps 25000 --demos.n 20 --corrections scripted
'

# shellcheck disable=SC2046
robot-rl compare $(groups "$runs" pick-demos pick-demos-corrections) --out docs/results --title "PickCube"
# shellcheck disable=SC2046
robot-rl compare $(groups "$runs" peg-alone peg-demos-corrections) --out docs/results --title "PegInsert, 0.5 mm"
# shellcheck disable=SC2046
robot-rl compare $(groups "$runs" grasp-demos-corrections) --out docs/results --title "GraspInsert, 1 mm"
