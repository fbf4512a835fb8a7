-- The calibration last seen in use: verdicts must not change because the database cannot be reached at a start.
CREATE TABLE calibration (
    version INTEGER NOT NULL,
    thresholds TEXT NOT NULL
) STRICT;
