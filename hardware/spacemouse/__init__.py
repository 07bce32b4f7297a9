"""A 3Dconnexion SpaceMouse as the operator's device; needs the extra ``spacemouse`` and the system's libhidapi."""
