//! What people's feedback makes of the verdicts: thresholds and confidence for each domain, versioned and
//! reversible. The Q-Score itself is never touched.
//!
//! Wire types and their use; how a calibration is fitted is the daemon's business.

use serde::{Deserialize, Serialize};

use crate::judgment::Judgment;
use crate::model::{CONFIDENCE_MAX, Domain, Verdict};

/// The scores at which a domain's verdicts change, and how far its confidence is to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// HOWL from here on.
    pub howl: f32,
    /// WAG from here on.
    pub wag: f32,
    /// GROWL from here on; BARK below.
    pub growl: f32,
    /// Factor on the confidence; the product is capped at φ⁻¹.
    pub confidence_factor: f32,
}

impl Thresholds {
    /// The model's own.
    pub const MODEL: Thresholds =
        Thresholds { howl: 80.0, wag: 50.0, growl: 38.2, confidence_factor: 1.0 };

    /// The verdict of a Q-Score.
    pub fn verdict(&self, q_score: f32) -> Verdict {
        match q_score {
            q if q >= self.howl => Verdict::Howl,
            q if q >= self.wag => Verdict::Wag,
            q if q >= self.growl => Verdict::Growl,
            _ => Verdict::Bark,
        }
    }

    /// The confidence after calibration, still at most [`CONFIDENCE_MAX`].
    pub fn confidence(&self, confidence: f32) -> f32 {
        (confidence * self.confidence_factor).clamp(0.0, CONFIDENCE_MAX)
    }

    /// The confidence before calibration; of one that was capped, the least that it can have been.
    pub fn uncalibrated(&self, confidence: f32) -> f32 {
        (confidence / self.confidence_factor).clamp(0.0, CONFIDENCE_MAX)
    }

    /// Whether every number is one that a verdict can be made with.
    pub fn is_valid(&self) -> bool {
        let in_order = self.growl <= self.wag && self.wag <= self.howl;
        in_order && self.growl >= 0.0 && self.howl <= 100.0 && {
            self.confidence_factor.is_finite() && self.confidence_factor > 0.0
        }
    }
}

/// A versioned set of thresholds, one for each domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// 0 is the model's own thresholds.
    pub version: u32,
    /// In the order of [`Domain::ALL`].
    pub domains: [Thresholds; Domain::ALL.len()],
}

impl Default for Calibration {
    fn default() -> Calibration {
        Calibration { version: 0, domains: [Thresholds::MODEL; Domain::ALL.len()] }
    }
}

impl Calibration {
    /// The thresholds of a domain.
    pub fn of(&self, domain: Domain) -> &Thresholds {
        &self.domains[domain as usize]
    }

    /// Puts this calibration's verdict and confidence in place of the model's own.
    pub fn apply(&self, judgment: &mut Judgment) {
        if self.version == 0 {
            return;
        }
        let thresholds = self.of(judgment.domain);
        judgment.verdict = thresholds.verdict(judgment.q_score);
        judgment.confidence = thresholds.confidence(judgment.confidence);
    }
}

/// What to do about the calibration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CalibrationRequest {
    /// Fit a new one from the feedback and say what it would change; change nothing.
    DryRun,
    /// Fit a new one from the feedback and use it from now on.
    Fit,
    /// Use an earlier one again; 0 is the model's own thresholds.
    Use(u32),
    /// Say what is in use and how it fares on the feedback.
    Show,
    /// Use again what was in use before the present one was first put to use.
    Revert,
}

/// What a calibration changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationReport {
    /// In use when it was asked.
    pub before: Calibration,
    /// In use from now on, or what a dry run would use. Equal to `before` when nothing changes.
    pub after: Calibration,
    /// Whether `after` was put to use by this request.
    pub applied: bool,
    /// One line a domain that has feedback or thresholds of its own.
    pub domains: Vec<DomainCalibration>,
    /// The newest versions that can be used, newest first, at most 1,000; 0, the model's own, comes last.
    pub versions: Vec<CalibrationVersion>,
}

/// What a calibration changes in one domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DomainCalibration {
    /// The domain.
    pub domain: Domain,
    /// Judgments said to be good.
    pub good: u32,
    /// Judgments said to be bad.
    pub bad: u32,
    /// How it fared before.
    pub before: Fit,
    /// How it fares after, on the same feedback.
    pub after: Fit,
    /// Why the thresholds stay or how far they moved, in words.
    pub remark: String,
}

/// Thresholds and how they fare on a domain's feedback. A good item is judged right when it passes (WAG or
/// better), a bad one when it is flagged (GROWL or BARK).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// The thresholds.
    pub thresholds: Thresholds,
    /// Share of all that are judged right, 0 to 1; 0 without feedback.
    pub accuracy: f32,
    /// Share of the good that are flagged, 0 to 1: false alarms.
    pub good_flagged: f32,
    /// Share of the bad that are flagged, 0 to 1: what is caught.
    pub bad_flagged: f32,
    /// Mean of the confidence, 0 to [`CONFIDENCE_MAX`].
    pub confidence: f32,
}

/// A calibration that can be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalibrationVersion {
    /// Its number; 0 is the model's own thresholds.
    pub version: u32,
    /// When it was made, in microseconds since the Unix epoch; 0 for the model's own.
    pub created_at_us: i64,
    /// How many feedbacks it was fitted on.
    pub feedbacks: u32,
    /// Whether it is the one in use.
    pub in_use: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_own_thresholds_give_the_models_own_verdicts() {
        for q in 0_u16..=1000 {
            let q = f32::from(q) / 10.0;
            assert_eq!(Thresholds::MODEL.verdict(q), Verdict::of(q), "{q}");
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "these come out exactly")]
    fn confidence_never_exceeds_its_maximum() {
        let sure = Thresholds { confidence_factor: 1.25, ..Thresholds::MODEL };
        assert_eq!(sure.confidence(0.6), CONFIDENCE_MAX);
        assert_eq!(sure.confidence(0.4), 0.5);
        assert_eq!(sure.uncalibrated(0.5), 0.4);
    }

    #[test]
    fn thresholds_out_of_order_or_range_are_not_valid() {
        assert!(Thresholds::MODEL.is_valid());
        let wrong = [
            Thresholds { wag: 30.0, ..Thresholds::MODEL },
            Thresholds { howl: 101.0, ..Thresholds::MODEL },
            Thresholds { growl: f32::NAN, ..Thresholds::MODEL },
            Thresholds { confidence_factor: 0.0, ..Thresholds::MODEL },
        ];
        assert!(wrong.iter().all(|thresholds| !thresholds.is_valid()));
    }
}
