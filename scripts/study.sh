# shellcheck shell=sh
# Read by the studies: several seeds of each condition in lock-step, so that every run can be repeated bit by bit.
# A finished run is kept, so a study may be stopped and started again.
#   SEEDS="0 1" JOBS=1 scripts/results.sh     fewer seeds, one at a time (default: one per core)

finished() { grep -qs '"status": "finished"' "$1"/run.json; }

# study RUNS CONDITIONS: train what is not finished yet; a condition is a line LABEL TASK FLAGS...
study() {
    echo "$2" | while read -r label task flags; do
        [ -n "$label" ] || continue
        for seed in ${SEEDS:-0 1 2 3 4}; do
            have=
            for run in "$1/$label/$task"/*_seed"$seed"; do
                if finished "$run"; then have=1; fi
            done
            [ -n "$have" ] || echo "$label $task $seed $flags"
        done
    done | xargs -r -P "${JOBS:-$(nproc)}" -L 1 --process-slot-var=SLOT sh -c '
        runs=$0 label=$1 task=$2 seed=$3; shift 3
        mkdir -p "$runs/$label"
        echo "start $label seed $seed"
        # A core for each run: two runs that share both cores are slower than two that have one each.
        taskset -c "$((SLOT % $(nproc)))" robot-rl train "$task" --preset laptop --lockstep --seed "$seed" --out-dir "$runs/$label" "$@" \
            --no-report >"$runs/$label/seed$seed.txt" 2>&1 ||
            echo "FAILED $label seed $seed: see $runs/$label/seed$seed.txt"
        tail -n 1 "$runs/$label/seed$seed.txt"
    ' "$1"
}

# groups RUNS LABEL...: LABEL=RUN for every finished seed, as robot-rl compare takes them.
groups() {
    root=$1
    shift
    for label in "$@"; do
        for run in "$root/$label"/*/*_seed*; do
            if finished "$run"; then echo "$label=$run"; fi
        done
    done
}
