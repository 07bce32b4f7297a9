"""Acting and learning: the acting loop, the learner, the wire between them, checkpoints and metrics."""
