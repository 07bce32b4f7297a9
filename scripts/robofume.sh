#!/bin/sh
# The composition of RoboFuME (Yang et al. 2023, arXiv 2310.15145) from nothing to the end, on a pair of tasks that undo
# each other: a success classifier of each from filmed episodes, other scripted episodes of mixed quality whose only reward
# is what these classifiers see, Cal-QL on them, then practice that nobody resets, rewarded by the classifiers alone.
# Policies see states, classifiers pictures. The truth judges the policies before and after, and nothing else.
# What is there is kept, so it may be stopped and started again.
#   scripts/robofume.sh [RUNS]     SEED=1 STEPS=4000 WARMUP=2000 for another one, longer
set -eu
cd "$(dirname "$0")/.."
runs=${1:-runs}/robofume
out=MoveCubeOut back=MoveCubeBack seed=${SEED:-0}
mkdir -p "$runs"

# film FOLDER TASK FRAMES SEED: scripted episodes through the side camera that go on after success, in one of them each
film() { [ -d "$1/$2" ] || robot-rl reward collect "$2" --out "$1/$2" --cameras side --success-frames "$3" --seed "$4"; }

own=1
for task in $out $back; do
    judge=$runs/judge/$task prior=$runs/prior/$task
    film "$runs/film" "$task" 200 "$own"
    [ -f "$judge/model.json" ] || robot-rl reward train "$runs/film/$task" --out "$judge" --crop side 0.1 0.3 0.9 0.85
    film "$runs/prior" "$task" 400 1000
    if [ ! -f "$prior/relabels/judge.safetensors" ]; then
        robot-rl reward evaluate "$judge" "$prior" # which it has not seen
        robot-rl reward relabel "$prior" --model "$judge" --name judge
    fi
    own=$((own + 1))
done

# Before: what the stored episodes alone teach.
if ! ls -d "$runs/pair/$out"/*_seed"$seed" >/dev/null 2>&1; then
    robot-rl train $out --pair $back --lockstep --seed "$seed" --env-steps 0 --pace.warmup-updates "${WARMUP:-1200}" \
        --detector.model "$runs/judge/$out" --detector.pair "$runs/judge/$back" --demos "$runs/prior" --demos.relabel judge \
        --preset laptop --agent.hidden 128 128 --agent.no-gripper-critic --agent.actor-steps 4 --agent.tau 0.01 \
        --agent.lr-actor 1e-3 --agent.lr-critic 1e-3 \
        --algorithm calql --calql.alpha 0.1 --calql.samples 4 --calql.online sac \
        --evaluation.every 0 --evaluation.final-episodes 40 --no-report --out-dir "$runs/pair"
fi
# After: the same two runs go on from there.
robot-rl train --resume "$(ls -d "$runs/pair/$out"/*_seed"$seed")" --env-steps "${STEPS:-1500}" --report
