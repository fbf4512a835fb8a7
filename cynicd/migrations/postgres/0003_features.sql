-- An episode's features are in the explanation, encoded (`details`): written out beside it they were a third of each row.
-- `cynicctl export --features` spells them out.
DROP VIEW episodes;
ALTER TABLE judgments DROP COLUMN features;
CREATE VIEW episodes AS
SELECT j.task_id, j.judged_at_us, j.domain, j.q_score, j.confidence, j.verdict,
    j.judge_version, j.calibration, j.dims_version,
    j.commitment, j.attunement, j.candor, j.congruence, j.accountability, j.vigilance,
    j.kenosis, j.coherence, j.elegance, j.structure, j.harmony, j.precision,
    j.completeness, j.proportion, j.accuracy, j.provenance, j.integrity, j.verifiability,
    j.transparency, j.reproducibility, j.consensus, j.authenticity, j.resonance, j.novelty,
    j.alignment, j.relevance, j.impact, j.lineage, j.utility, j.sustainability,
    j.efficiency, j.value_creation, j.sacrifice, j.contribution, j.irreversibility, j.the_unnameable,
    f.truth
FROM judgments j LEFT JOIN feedback f ON f.task_id = j.task_id;
