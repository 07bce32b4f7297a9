"""Pictures into numbers: preprocessing, frozen encoders, the health of pictures."""
