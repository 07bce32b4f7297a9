#!/bin/sh
# From stored episodes of mixed quality to a policy, without a reward: preferences, a reward model, relabels, IQL; beside
# it IQL on the reward as recorded, and cloning of the same episodes. Seven in ten of them aim 4 cm to one side. A scripted oracle, wrong one time in ten,
# stands in for whoever compares pictures. Policies see states.
#   scripts/offline_chain.sh [RUNS]     scripts/study.sh tells of SEEDS and JOBS
set -eu
cd "$(dirname "$0")/.."
. scripts/study.sh
runs=${1:-runs}/offline
data=$runs/data prefs=$runs/prefs model=$runs/model
# The progress that is recorded is what the oracle compares; nothing learns from it.
options='--task-options dense_reward=True episode_steps=25'

mkdir -p "$runs"
# shellcheck disable=SC2086
[ -d "$data" ] || robot-rl demos record Reach $options --n 110 --careless 0.7 --keep-failures --cameras side --out "$data"
robot-rl label-prefs "$data" --out "$prefs" --labeler oracle --score potential --error-rate 0.1 --pairs 1200 \
    --cameras side --goal "the tool is at the green marker"
if [ ! -f "$model/model.json" ]; then
    robot-rl reward prefs "$prefs" "$data" --out "$model" --fit.members 2 --fit.updates 400 --fit.smoothing 0.2
fi
[ -f "$data/relabels/prefs.safetensors" ] || robot-rl reward relabel "$data" --model "$model" --name prefs

agent='--agent.hidden 64 64 --agent.gamma 0.9 --agent.n-step 1 --agent.tau 0.02 --agent.lr-actor 1e-3
    --agent.lr-critic 1e-3 --agent.actor-average 0.99 --agent.q-range None --pace.warmup-updates 500'
# shellcheck disable=SC2086
all=$(echo Reach $options --env-steps 0 --demos.dir "$data" $agent)
study "$runs" "
iql      $all --algorithm iql --demos.relabel prefs --demos.relabel-only --iql.temperature 100
cloning  $all --algorithm bc
recorded-reward $all --algorithm iql --iql.temperature 100
"
# shellcheck disable=SC2046
robot-rl compare $(groups "$runs" iql recorded-reward cloning) --out docs/results --title "Reach, stored episodes of mixed quality"
