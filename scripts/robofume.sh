#!/bin/sh
# The composition of RoboFuME (Yang et al. 2023, arXiv 2310.15145) from nothing to the end, on a pair of tasks that undo
# each other: a success classifier of each from filmed episodes, other scripted episodes of mixed quality whose only reward
# is what these classifiers see, offline learning on them, then practice that nobody resets, rewarded by the classifiers
# alone. It learns by IQL, which was measured to be the better one here; ALGORITHM=calql is what RoboFuME does.
# Policies see states, classifiers pictures. The truth judges the policies before and after, and nothing else.
# What is there is kept, so it may be stopped and started again.
#   scripts/robofume.sh [RUNS]     SEED=1 STEPS=8000 WARMUP=9000 for another one, longer
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

case ${ALGORITHM:-iql} in
iql) warmup=6000 how='--algorithm iql' ;;
calql)
    warmup=1200
    how='--algorithm calql --calql.alpha 0.1 --calql.samples 4 --calql.online sac
        --agent.hidden 128 128 --agent.actor-steps 4 --agent.tau 0.01 --agent.lr-actor 1e-3 --agent.lr-critic 1e-3'
    ;;
*) echo "ALGORITHM is $ALGORITHM, expected iql or calql" >&2 && exit 2 ;;
esac

# Before: what the stored episodes alone teach.
if ! ls -d "$runs/pair/$out"/*_seed"$seed" >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    robot-rl train $out --pair $back --lockstep --seed "$seed" --env-steps 0 --pace.warmup-updates "${WARMUP:-$warmup}" \
        --detector.model "$runs/judge/$out" --detector.pair "$runs/judge/$back" --demos "$runs/prior" --demos.relabel judge \
        --preset laptop --agent.no-gripper-critic $how \
        --evaluation.every 0 --evaluation.final-episodes 40 --no-report --out-dir "$runs/pair"
fi
# After: the same two runs go on from there.
robot-rl train --resume "$(ls -d "$runs/pair/$out"/*_seed"$seed")" --env-steps "${STEPS:-4000}" --report
