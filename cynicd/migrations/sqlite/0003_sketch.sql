-- Of each judgment of a zone its place, verdict, domain and scores, a byte each: a search by several at once reads only
-- what may match. Zones are made anew, with it.
DELETE FROM zones;
ALTER TABLE zones ADD COLUMN sketch TEXT NOT NULL DEFAULT '';
