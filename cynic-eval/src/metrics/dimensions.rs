//! Whether the dimensions differ: their correlations, how many they amount to, and which never move.
//!
//! Over the 35 dimensions of Q; `THE_UNNAMEABLE` is a function of the others by design.

use cynic_proto::model::{DIMENSIONS, Dimension};
use serde::Serialize;

/// The dimensions that take part in Q.
pub const JUDGED_DIMENSIONS: usize = DIMENSIONS - 1;

/// Above this correlation two dimensions are the same function in all but name.
pub const TWIN_CORRELATION: f64 = 0.98;

/// From this share of items with one value on, a dimension counts as constant.
pub const CONSTANT_SHARE: f64 = 0.9;

/// Scores are compared in steps of a tenth of a point: what a person sees as one value.
const STEPS_PER_POINT: f32 = 10.0;

/// Two dimensions that move together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Twins {
    /// One of them.
    pub first: Dimension,
    /// The other.
    pub second: Dimension,
    /// Pearson's correlation, -1 to 1.
    pub correlation: f64,
}

/// A dimension that says nearly always the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Constant {
    /// Which.
    pub dimension: Dimension,
    /// The value that it says.
    pub value: f32,
    /// Share of the items with that value, 0 to 1.
    pub share: f64,
}

/// What one dimension does over all items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Profile {
    /// Which.
    pub dimension: Dimension,
    /// Mean score, 0 to 100.
    pub mean: f64,
    /// Standard deviation in points.
    pub std: f64,
    /// Area under the ROC curve of this dimension alone; `None` unless both labels are there.
    pub auc: Option<f64>,
}

/// The figures over all dimensions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diversity {
    /// How many independent dimensions the correlations amount to: (Σλ)² / Σλ² over the eigenvalues of
    /// the correlation matrix, 1 to 35. `None` below two items or where no dimension moves.
    pub participation_ratio: Option<f64>,
    /// Pairs with an absolute correlation above [`TWIN_CORRELATION`], strongest first.
    pub twins: Vec<Twins>,
    /// Dimensions with one value on at least [`CONSTANT_SHARE`] of the items.
    pub constant: Vec<Constant>,
    /// The correlation matrix, rows and columns in template order; `None` where a dimension never moves.
    pub correlations: Vec<Vec<Option<f64>>>,
}

/// Fewest rows of which anything is said: two items make any two dimensions one function.
const ROWS_MIN: usize = 30;

/// The figures of score rows, each in the order of [`Dimension::ALL`].
pub fn diversity(rows: &[[f32; DIMENSIONS]]) -> Diversity {
    let rows = if rows.len() < ROWS_MIN { &[] } else { rows };
    let correlations = correlations(rows);
    let mut twins = Vec::new();
    for (first, row) in correlations.iter().enumerate() {
        for (second, correlation) in row.iter().enumerate().skip(first + 1) {
            if let Some(correlation) = correlation.filter(|r| r.abs() > TWIN_CORRELATION) {
                let (first, second) = (Dimension::ALL[first], Dimension::ALL[second]);
                twins.push(Twins { first, second, correlation });
            }
        }
    }
    twins.sort_by(|a, b| b.correlation.abs().total_cmp(&a.correlation.abs()));
    Diversity {
        participation_ratio: participation_ratio(&correlations),
        twins,
        constant: (0..JUDGED_DIMENSIONS)
            .filter_map(|d| constant(rows, Dimension::ALL[d]))
            .collect(),
        correlations,
    }
}

/// The trace of a correlation matrix is the number of dimensions that move, and the sum of its squared
/// eigenvalues is the sum of its squared entries: no decomposition is needed.
fn participation_ratio(correlations: &[Vec<Option<f64>>]) -> Option<f64> {
    let moving = (0..correlations.len()).filter(|d| correlations[*d][*d].is_some()).count();
    let squares: f64 = correlations.iter().flatten().flatten().map(|r| r * r).sum();
    (moving > 0).then(|| (moving * moving) as f64 / squares)
}

fn correlations(rows: &[[f32; DIMENSIONS]]) -> Vec<Vec<Option<f64>>> {
    let n = rows.len() as f64;
    let mut means = [0.0; JUDGED_DIMENSIONS];
    for row in rows {
        for (mean, score) in means.iter_mut().zip(row) {
            *mean += f64::from(*score) / n;
        }
    }
    let mut products = vec![vec![0.0; JUDGED_DIMENSIONS]; JUDGED_DIMENSIONS];
    let mut centred = [0.0; JUDGED_DIMENSIONS];
    for row in rows {
        for (d, value) in centred.iter_mut().enumerate() {
            *value = f64::from(row[d]) - means[d];
        }
        for (first, sums) in products.iter_mut().enumerate() {
            for (sum, value) in sums.iter_mut().zip(&centred) {
                *sum += centred[first] * value;
            }
        }
    }
    // Below a variance of 1e-6 points² a dimension is constant and the rest is rounding.
    let moves = |d: usize| products[d][d] > 1e-6 * n;
    let entry = |first: usize, second: usize| {
        (moves(first) && moves(second)).then(|| {
            let scale: f64 = (products[first][first] * products[second][second]).sqrt();
            (products[first][second] / scale).clamp(-1.0, 1.0)
        })
    };
    (0..JUDGED_DIMENSIONS)
        .map(|first| (0..JUDGED_DIMENSIONS).map(|second| entry(first, second)).collect())
        .collect()
}

fn constant(rows: &[[f32; DIMENSIONS]], dimension: Dimension) -> Option<Constant> {
    let mut steps: Vec<i32> =
        rows.iter().map(|row| (row[dimension as usize] * STEPS_PER_POINT).round() as i32).collect();
    steps.sort_unstable();
    let longest = steps.chunk_by(|a, b| a == b).max_by_key(|same| same.len())?;
    let share = longest.len() as f64 / rows.len() as f64;
    let value = longest[0] as f32 / STEPS_PER_POINT;
    (share >= CONSTANT_SHARE).then_some(Constant { dimension, value, share })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose dimensions are independent coin tosses, dimension `d` being bit `d` of a counter's hash.
    fn independent(count: u64) -> Vec<[f32; DIMENSIONS]> {
        (0..count)
            .map(|n| {
                let mut hash = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                hash ^= hash >> 29;
                hash = hash.wrapping_mul(0xBF58_476D_1CE4_E5B9);
                hash ^= hash >> 32;
                std::array::from_fn(|d| if hash >> d & 1 == 1 { 60.0 } else { 40.0 })
            })
            .collect()
    }

    #[test]
    fn independent_dimensions_count_in_full() {
        let diversity = diversity(&independent(5000));
        let ratio = diversity.participation_ratio.expect("dimensions move");
        assert!((34.0..=35.0).contains(&ratio), "{ratio}");
        assert!(diversity.twins.is_empty() && diversity.constant.is_empty());
    }

    #[test]
    fn one_function_under_35_names_counts_once() {
        let rows: Vec<_> = (0..50).map(|n| [n as f32; DIMENSIONS]).collect();
        let diversity = diversity(&rows);
        assert!((diversity.participation_ratio.expect("dimensions move") - 1.0).abs() < 1e-9);
        assert_eq!(diversity.twins.len(), 35 * 34 / 2);
    }

    #[test]
    fn a_constant_dimension_is_named_and_left_out() {
        let mut rows = independent(1000);
        for (n, row) in rows.iter_mut().enumerate() {
            row[4] = 50.0;
            row[5] = if n % 20 == 0 { 10.0 } else { 50.04 };
            row[6] = -row[7] + 100.0;
        }
        let diversity = diversity(&rows);
        let constant: Vec<_> = diversity.constant.iter().map(|c| (c.dimension, c.value)).collect();
        assert_eq!(constant, [(Dimension::ALL[4], 50.0), (Dimension::ALL[5], 50.0)]);
        assert_eq!(diversity.constant[1].share, 0.95);
        assert_eq!(diversity.correlations[4][4], None);
        assert_eq!(diversity.twins.len(), 1, "mirrored dimensions are twins too");
        assert!((diversity.twins[0].correlation + 1.0).abs() < 1e-9);
    }

    #[test]
    fn next_to_nothing_gives_nothing() {
        for rows in [vec![], independent(2)] {
            let diversity = diversity(&rows);
            assert_eq!(diversity.participation_ratio, None);
            assert!(diversity.twins.is_empty() && diversity.constant.is_empty());
        }
    }
}
