"""The learner's side: its log, replay, pace, checkpoints and evaluations, in lock-step or as a process of its own."""
