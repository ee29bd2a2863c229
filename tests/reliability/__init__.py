"""What is promised about faults and bad input: one test or more for each row of `rows.ROWS`, and the scoreboard."""
