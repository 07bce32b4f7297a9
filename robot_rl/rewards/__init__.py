"""What is rewarded: success classifiers, vision-language and preference models, process rewards."""
