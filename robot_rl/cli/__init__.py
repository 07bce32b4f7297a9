"""The ``robot-rl`` command: one module per verb, loaded only when the verb is used."""
