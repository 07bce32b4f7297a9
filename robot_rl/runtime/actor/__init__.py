"""The actor's side: its process, its control loop, its spool on disk. Loads no JAX."""
