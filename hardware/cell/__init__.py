"""A robot cell as one YAML: what is in it, which processes it needs, and how they are kept running."""
