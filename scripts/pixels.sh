#!/bin/sh
# Learning from two cameras without a GPU and without anybody's weights: features of a small network with generated
# weights, three seeds of each condition.
#   scripts/pixels.sh [RUNS]     scripts/study.sh tells of SEEDS and JOBS
set -eu
cd "$(dirname "$0")/.."
. scripts/study.sh
runs=${1:-runs}/pixels
SEEDS=${SEEDS:-0 1 2}

eyes='--pictures.cameras wrist side --pictures.encoder random:small --pictures.image-size 64 --pictures.crops 4'
eyes="$eyes --evaluation.episodes 20"
# The regions are what `robot-rl crop TASK --auto --size 64` proposes.
study "$runs" "
pick-pictures              PickCube   --env-steps 8000  --corrections none     --evaluation.every 2000 $eyes --crops side 137 0 369 369 wrist 99 31 421 421
peg-pictures-corrections   PegInsert  --env-steps 20000 --corrections scripted --evaluation.every 4000 $eyes --crops side 178 54 287 287 wrist 148 61 343 343
"

# shellcheck disable=SC2046
robot-rl compare $(groups "$runs" pick-pictures) --out docs/results --title "PickCube, from pictures"
# shellcheck disable=SC2046
robot-rl compare $(groups "$runs" peg-pictures-corrections) --out docs/results --title "PegInsert, 0.5 mm, from pictures"
