-- Scores of another judge say nothing about the thresholds of this one.
ALTER TABLE feedback ADD COLUMN judge_version INTEGER NOT NULL DEFAULT 0;
