"""The numpy-only vocabulary shared by every other package: types, specs, protocols, errors, configuration."""
