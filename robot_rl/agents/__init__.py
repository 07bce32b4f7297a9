"""The learning algorithms in JAX. Importing this package loads no JAX; its modules `sac`, `networks`, `losses` do."""
