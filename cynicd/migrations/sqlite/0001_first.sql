-- The embedded store. Times are microseconds since the Unix epoch; scores run from 0 to 100.
-- `seq` is the order of commits: it pages history, whatever the clock does.

CREATE TABLE judgments (
    seq INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL UNIQUE,
    judged_at_us INTEGER NOT NULL,
    item_id TEXT,
    client_uid INTEGER NOT NULL,
    ack TEXT NOT NULL,
    domain TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('HOWL', 'WAG', 'GROWL', 'BARK')),
    q_score REAL NOT NULL CHECK (q_score BETWEEN 0 AND 100),
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 0.6181),
    coverage INTEGER NOT NULL CHECK (coverage BETWEEN 0 AND 36),
    fallbacks INTEGER NOT NULL,
    partial INTEGER NOT NULL,
    fidelity REAL NOT NULL,
    phi REAL NOT NULL,
    verify REAL NOT NULL,
    culture REAL NOT NULL,
    burn REAL NOT NULL,
    k_score REAL,
    final_score REAL,
    final_verdict TEXT,
    body_bytes INTEGER NOT NULL,
    body_sha256 BLOB NOT NULL,
    summary TEXT NOT NULL,
    worker_slot INTEGER NOT NULL,
    worker_generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    queued_us INTEGER NOT NULL,
    running_us INTEGER NOT NULL,
    parse_us INTEGER NOT NULL,
    score_us INTEGER NOT NULL,
    aggregate_us INTEGER NOT NULL,
    verdict_us INTEGER NOT NULL,
    judge_version INTEGER NOT NULL,
    calibration INTEGER NOT NULL,
    dims_version INTEGER NOT NULL,
    commitment REAL NOT NULL,
    attunement REAL NOT NULL,
    candor REAL NOT NULL,
    congruence REAL NOT NULL,
    accountability REAL NOT NULL,
    vigilance REAL NOT NULL,
    kenosis REAL NOT NULL,
    coherence REAL NOT NULL,
    elegance REAL NOT NULL,
    structure REAL NOT NULL,
    harmony REAL NOT NULL,
    precision REAL NOT NULL,
    completeness REAL NOT NULL,
    proportion REAL NOT NULL,
    accuracy REAL NOT NULL,
    provenance REAL NOT NULL,
    integrity REAL NOT NULL,
    verifiability REAL NOT NULL,
    transparency REAL NOT NULL,
    reproducibility REAL NOT NULL,
    consensus REAL NOT NULL,
    authenticity REAL NOT NULL,
    resonance REAL NOT NULL,
    novelty REAL NOT NULL,
    alignment REAL NOT NULL,
    relevance REAL NOT NULL,
    impact REAL NOT NULL,
    lineage REAL NOT NULL,
    utility REAL NOT NULL,
    sustainability REAL NOT NULL,
    efficiency REAL NOT NULL,
    value_creation REAL NOT NULL,
    sacrifice REAL NOT NULL,
    contribution REAL NOT NULL,
    irreversibility REAL NOT NULL,
    the_unnameable REAL NOT NULL,
    -- The learning episode's features: evidence code to points. No content.
    features TEXT NOT NULL,
    -- The explanation, encoded; quotations are left out unless content is stored.
    details BLOB,
    -- NULL unless content is stored.
    content BLOB
) STRICT;
CREATE INDEX judgments_client ON judgments (client_uid);
CREATE INDEX judgments_item ON judgments (item_id) WHERE item_id IS NOT NULL;

-- What each run of 256 judgments (seq / 256) spans: a search by any score, verdict, domain or time skips
-- the runs that cannot match, without an index a column to keep up while writing.
CREATE TABLE zones (
    zone INTEGER PRIMARY KEY,
    judged_at_us_min INTEGER NOT NULL,
    judged_at_us_max INTEGER NOT NULL,
    verdicts INTEGER NOT NULL,
    domains INTEGER NOT NULL,
    q_score_min REAL NOT NULL,
    q_score_max REAL NOT NULL,
    commitment_min REAL NOT NULL,
    commitment_max REAL NOT NULL,
    attunement_min REAL NOT NULL,
    attunement_max REAL NOT NULL,
    candor_min REAL NOT NULL,
    candor_max REAL NOT NULL,
    congruence_min REAL NOT NULL,
    congruence_max REAL NOT NULL,
    accountability_min REAL NOT NULL,
    accountability_max REAL NOT NULL,
    vigilance_min REAL NOT NULL,
    vigilance_max REAL NOT NULL,
    kenosis_min REAL NOT NULL,
    kenosis_max REAL NOT NULL,
    coherence_min REAL NOT NULL,
    coherence_max REAL NOT NULL,
    elegance_min REAL NOT NULL,
    elegance_max REAL NOT NULL,
    structure_min REAL NOT NULL,
    structure_max REAL NOT NULL,
    harmony_min REAL NOT NULL,
    harmony_max REAL NOT NULL,
    precision_min REAL NOT NULL,
    precision_max REAL NOT NULL,
    completeness_min REAL NOT NULL,
    completeness_max REAL NOT NULL,
    proportion_min REAL NOT NULL,
    proportion_max REAL NOT NULL,
    accuracy_min REAL NOT NULL,
    accuracy_max REAL NOT NULL,
    provenance_min REAL NOT NULL,
    provenance_max REAL NOT NULL,
    integrity_min REAL NOT NULL,
    integrity_max REAL NOT NULL,
    verifiability_min REAL NOT NULL,
    verifiability_max REAL NOT NULL,
    transparency_min REAL NOT NULL,
    transparency_max REAL NOT NULL,
    reproducibility_min REAL NOT NULL,
    reproducibility_max REAL NOT NULL,
    consensus_min REAL NOT NULL,
    consensus_max REAL NOT NULL,
    authenticity_min REAL NOT NULL,
    authenticity_max REAL NOT NULL,
    resonance_min REAL NOT NULL,
    resonance_max REAL NOT NULL,
    novelty_min REAL NOT NULL,
    novelty_max REAL NOT NULL,
    alignment_min REAL NOT NULL,
    alignment_max REAL NOT NULL,
    relevance_min REAL NOT NULL,
    relevance_max REAL NOT NULL,
    impact_min REAL NOT NULL,
    impact_max REAL NOT NULL,
    lineage_min REAL NOT NULL,
    lineage_max REAL NOT NULL,
    utility_min REAL NOT NULL,
    utility_max REAL NOT NULL,
    sustainability_min REAL NOT NULL,
    sustainability_max REAL NOT NULL,
    efficiency_min REAL NOT NULL,
    efficiency_max REAL NOT NULL,
    value_creation_min REAL NOT NULL,
    value_creation_max REAL NOT NULL,
    sacrifice_min REAL NOT NULL,
    sacrifice_max REAL NOT NULL,
    contribution_min REAL NOT NULL,
    contribution_max REAL NOT NULL,
    irreversibility_min REAL NOT NULL,
    irreversibility_max REAL NOT NULL,
    the_unnameable_min REAL NOT NULL,
    the_unnameable_max REAL NOT NULL
) STRICT;
CREATE INDEX zones_time ON zones (judged_at_us_min);

-- Tasks that were answered with an error.
CREATE TABLE failures (
    seq INTEGER PRIMARY KEY,
    entry_key TEXT NOT NULL UNIQUE,
    task_id TEXT NOT NULL,
    failed_at_us INTEGER NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL,
    deaths TEXT NOT NULL,
    item_id TEXT,
    client_uid INTEGER NOT NULL,
    attempts INTEGER NOT NULL
) STRICT;
CREATE INDEX failures_task ON failures (task_id);
CREATE INDEX failures_client ON failures (client_uid);
CREATE INDEX failures_time ON failures (failed_at_us);

-- What happened to workers and to the store.
CREATE TABLE notices (
    seq INTEGER PRIMARY KEY,
    entry_key TEXT NOT NULL UNIQUE,
    at_us INTEGER NOT NULL,
    kind TEXT NOT NULL,
    task_id TEXT,
    message TEXT NOT NULL
) STRICT;

-- Entries that this database refused, with its reason.
CREATE TABLE dead_letters (
    seq INTEGER PRIMARY KEY,
    entry_key TEXT NOT NULL UNIQUE,
    task_id TEXT,
    refused_at_us INTEGER NOT NULL,
    error TEXT NOT NULL,
    entry BLOB NOT NULL
) STRICT;

-- What turned out to be true. Repeats what calibration needs of the judgment, so that it outlives it.
CREATE TABLE feedback (
    task_id TEXT PRIMARY KEY NOT NULL,
    truth TEXT NOT NULL CHECK (truth IN ('good', 'bad')),
    note TEXT,
    client_uid INTEGER NOT NULL,
    given_at_us INTEGER NOT NULL,
    domain TEXT NOT NULL,
    q_score REAL NOT NULL,
    confidence REAL NOT NULL
) STRICT;

-- Version 0, the model's own thresholds, needs no row.
CREATE TABLE calibrations (
    version INTEGER PRIMARY KEY NOT NULL,
    created_at_us INTEGER NOT NULL,
    feedbacks INTEGER NOT NULL,
    thresholds TEXT NOT NULL
) STRICT;

-- The last row names the calibration in use.
CREATE TABLE calibration_uses (
    seq INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    used_at_us INTEGER NOT NULL
) STRICT;

CREATE VIEW episodes AS
SELECT j.task_id, j.judged_at_us, j.domain, j.features, j.q_score, j.confidence, j.verdict,
    j.judge_version, j.calibration, j.dims_version,
    j.commitment, j.attunement, j.candor, j.congruence, j.accountability, j.vigilance,
    j.kenosis, j.coherence, j.elegance, j.structure, j.harmony, j.precision,
    j.completeness, j.proportion, j.accuracy, j.provenance, j.integrity, j.verifiability,
    j.transparency, j.reproducibility, j.consensus, j.authenticity, j.resonance, j.novelty,
    j.alignment, j.relevance, j.impact, j.lineage, j.utility, j.sustainability,
    j.efficiency, j.value_creation, j.sacrifice, j.contribution, j.irreversibility, j.the_unnameable,
    f.truth
FROM judgments j LEFT JOIN feedback f ON f.task_id = j.task_id;

CREATE VIEW events AS
SELECT judged_at_us AS at_us, 'judgment.completed' AS kind, task_id,
    verdict || ' ' || round(q_score, 1) AS message
FROM judgments
UNION ALL
SELECT failed_at_us, 'judgment.failed', task_id, kind || ': ' || message FROM failures
UNION ALL
SELECT at_us, kind, task_id, message FROM notices;

-- Finds any text of three letters or more inside the messages of failures.
CREATE VIRTUAL TABLE failures_text USING fts5 (
    message, content = 'failures', content_rowid = 'seq', tokenize = 'trigram', detail = 'full'
);
CREATE TRIGGER failures_text_insert AFTER INSERT ON failures BEGIN
    INSERT INTO failures_text (rowid, message) VALUES (new.seq, new.message);
END;
CREATE TRIGGER failures_text_delete AFTER DELETE ON failures BEGIN
    INSERT INTO failures_text (failures_text, rowid, message) VALUES ('delete', old.seq, old.message);
END;
