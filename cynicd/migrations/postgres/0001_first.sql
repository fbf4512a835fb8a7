-- The shared store. Times are microseconds since the Unix epoch; scores run from 0 to 100.
-- `seq` is the order of arrival: it pages history, whatever the hosts' clocks do.

CREATE TABLE judgments (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id UUID NOT NULL UNIQUE,
    judged_at_us BIGINT NOT NULL,
    item_id TEXT,
    client_uid BIGINT NOT NULL,
    ack TEXT NOT NULL,
    domain TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('HOWL', 'WAG', 'GROWL', 'BARK')),
    q_score REAL NOT NULL CHECK (q_score BETWEEN 0 AND 100),
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 0.6181),
    coverage SMALLINT NOT NULL CHECK (coverage BETWEEN 0 AND 36),
    fallbacks BIGINT NOT NULL,
    partial BOOLEAN NOT NULL,
    fidelity REAL NOT NULL,
    phi REAL NOT NULL,
    verify REAL NOT NULL,
    culture REAL NOT NULL,
    burn REAL NOT NULL,
    k_score REAL,
    final_score REAL,
    final_verdict TEXT,
    body_bytes BIGINT NOT NULL,
    body_sha256 BYTEA NOT NULL,
    summary TEXT NOT NULL,
    worker_slot INTEGER NOT NULL,
    worker_generation BIGINT NOT NULL,
    attempts SMALLINT NOT NULL,
    queued_us BIGINT NOT NULL,
    running_us BIGINT NOT NULL,
    parse_us BIGINT NOT NULL,
    score_us BIGINT NOT NULL,
    aggregate_us BIGINT NOT NULL,
    verdict_us BIGINT NOT NULL,
    judge_version BIGINT NOT NULL,
    calibration BIGINT NOT NULL,
    dims_version SMALLINT NOT NULL,
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
    details BYTEA,
    -- NULL unless content is stored.
    content BYTEA
);
CREATE INDEX judgments_time ON judgments (judged_at_us);
CREATE INDEX judgments_verdict ON judgments (verdict, seq);
CREATE INDEX judgments_domain ON judgments (domain, seq);
CREATE INDEX judgments_client ON judgments (client_uid, seq);
CREATE INDEX judgments_item ON judgments (item_id) WHERE item_id IS NOT NULL;

-- Tasks that were answered with an error.
CREATE TABLE failures (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_key UUID NOT NULL UNIQUE,
    task_id UUID NOT NULL,
    failed_at_us BIGINT NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL,
    deaths TEXT NOT NULL,
    item_id TEXT,
    client_uid BIGINT NOT NULL,
    attempts SMALLINT NOT NULL
);
CREATE INDEX failures_task ON failures (task_id);
CREATE INDEX failures_client ON failures (client_uid, seq);
CREATE INDEX failures_time ON failures (failed_at_us);

-- What happened to workers and to the store.
CREATE TABLE notices (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_key UUID NOT NULL UNIQUE,
    at_us BIGINT NOT NULL,
    kind TEXT NOT NULL,
    task_id UUID,
    message TEXT NOT NULL
);

-- Entries that this database refused, with its reason.
CREATE TABLE dead_letters (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_key UUID NOT NULL UNIQUE,
    task_id UUID,
    refused_at_us BIGINT NOT NULL,
    error TEXT NOT NULL,
    entry BYTEA NOT NULL
);

-- What turned out to be true. Repeats what calibration needs of the judgment, so that it outlives it.
CREATE TABLE feedback (
    task_id UUID PRIMARY KEY NOT NULL,
    truth TEXT NOT NULL CHECK (truth IN ('good', 'bad')),
    note TEXT,
    client_uid BIGINT NOT NULL,
    given_at_us BIGINT NOT NULL,
    domain TEXT NOT NULL,
    q_score REAL NOT NULL,
    confidence REAL NOT NULL
);

-- Version 0, the model's own thresholds, needs no row.
CREATE TABLE calibrations (
    version BIGINT PRIMARY KEY NOT NULL,
    created_at_us BIGINT NOT NULL,
    feedbacks BIGINT NOT NULL,
    thresholds TEXT NOT NULL
);

-- The last row names the calibration in use.
CREATE TABLE calibration_uses (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version BIGINT NOT NULL,
    used_at_us BIGINT NOT NULL
);

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
    verdict || ' ' || round(q_score::numeric, 1) AS message
FROM judgments
UNION ALL
SELECT failed_at_us, 'judgment.failed', task_id, kind || ': ' || message FROM failures
UNION ALL
SELECT at_us, kind, task_id, message FROM notices;
