"""Another arm that a person moves by hand, as the operator's device of the one that works."""
