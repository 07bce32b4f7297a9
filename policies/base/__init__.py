"""Base policies: networks trained beforehand by supervised learning, frozen, that propose chunks of actions."""
