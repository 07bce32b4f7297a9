"""A stand-in for LeRobot 0.6: the names and signatures that our server uses, and a record of how they were called."""
