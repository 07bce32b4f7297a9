"""What actors and the learner say to each other, the sockets it goes through, and the keys these need."""
