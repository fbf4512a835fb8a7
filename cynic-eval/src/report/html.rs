//! The evaluation as one HTML page: inline style and pictures, no scripts, nothing from outside.
//!
//! Texts of items are hostile. Each goes through [`escaped`], and a content security policy forbids the
//! page to load or run anything should one slip through.

use std::fmt::Write as _;

use cynic_proto::judgment::Evidence;
use cynic_proto::model::{DIMENSIONS, Verdict};

use super::{svg, visible};
use crate::Evaluation;
use crate::dataset::Label;
use crate::evaluation::{Mistake, SetFigures};

const STYLE: &str = include_str!("page.css");

/// Pieces of evidence shown with a mistake, strongest first.
const EVIDENCE_SHOWN: usize = 6;

/// Failures listed.
const FAILURES_SHOWN: usize = 50;

pub(super) fn render(evaluation: &Evaluation) -> String {
    let mut out = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>CYNIC evaluation</title><style>",
    );
    out.push_str(STYLE);
    out.push_str("</style></head><body><main>");
    head(&mut out, evaluation);
    cards(&mut out, evaluation);
    out.push_str("<h2>Sets</h2>");
    sets(&mut out, evaluation);
    out.push_str("<h2>Pictures</h2>");
    out.push_str(KEY);
    for set in each(evaluation) {
        pictures(&mut out, set);
    }
    dimensions(&mut out, evaluation);
    failures(&mut out, evaluation);
    mistakes(&mut out, evaluation);
    out.push_str("</main></body></html>\n");
    out
}

const KEY: &str = "<p class=\"key soft\"><i style=\"background:var(--good)\"></i>labelled good\
    <i style=\"background:var(--bad)\"></i>labelled bad</p>";

/// Untrusted text, fit for HTML content and attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn head(out: &mut String, evaluation: &Evaluation) {
    let versions: Vec<String> = evaluation.judge_versions.iter().map(u32::to_string).collect();
    let pooled = &evaluation.pooled;
    let _ = write!(
        out,
        "<h1>How well the judge tells good from bad</h1><p class=\"soft\">{} items judged ({} good, {} bad), {} sets, judge version {}</p>",
        pooled.items,
        pooled.good,
        pooled.bad,
        evaluation.sets.len(),
        versions.join(" and "),
    );
    if !evaluation.notes.is_empty() {
        out.push_str("<div class=\"notes\">");
        for note in &evaluation.notes {
            let _ = write!(out, "<p>{}</p>", escaped(note));
        }
        out.push_str("</div>");
    }
}

fn cards(out: &mut String, evaluation: &Evaluation) {
    let pooled = &evaluation.pooled;
    let std = pooled.q.map_or_else(|| "n/a".into(), |q| format!("{:.1}", q.std));
    let amount = evaluation.dimensions.participation_ratio;
    let cards = [
        (ratio(evaluation.mean_auc), "mean AUC of the sets; .5 is chance"),
        (percent(pooled.bad_flagged), "of bad items at GROWL or below"),
        (percent(pooled.good_flagged), "of good items at GROWL or below"),
        (std, "standard deviation of Q"),
        (
            amount.map_or_else(|| "n/a".into(), |p| format!("{p:.1}")),
            "independent dimensions of 35",
        ),
    ];
    out.push_str("<div class=\"cards\">");
    for (figure, meaning) in cards {
        let _ = write!(out, "<div class=\"card\"><b>{figure}</b><span>{meaning}</span></div>");
    }
    out.push_str("</div>");
}

/// The sets, and all together where there is more than one.
fn each(evaluation: &Evaluation) -> impl Iterator<Item = &SetFigures> {
    let pooled = (evaluation.sets.len() > 1).then_some(&evaluation.pooled);
    pooled.into_iter().chain(&evaluation.sets)
}

fn sets(out: &mut String, evaluation: &Evaluation) {
    out.push_str("<div class=\"wide\"><table><tr><th>set<th>items<th>AUC of Q<th>95% interval<th>within length<th>length only<th>bad flagged<th>good flagged<th>verdicts of good<th>verdicts of bad<th>surer half right<th>other half</tr>");
    for (n, set) in each(evaluation).enumerate() {
        let class = if n == 0 && evaluation.sets.len() > 1 { " class=\"total\"" } else { "" };
        let interval =
            set.auc.map_or_else(|| "n/a".into(), |a| format!("{:.3} to {:.3}", a.low, a.high));
        let _ = write!(
            out,
            "<tr{class}><td>{}<td>{}<td>{}<td>{interval}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escaped(&set.set),
            set.items,
            ratio(set.auc.map(|a| a.value)),
            ratio(set.auc_within_length),
            ratio(set.auc_of_length),
            percent(set.bad_flagged),
            percent(set.good_flagged),
            svg::verdict_bar(&set.verdicts_of_good),
            svg::verdict_bar(&set.verdicts_of_bad),
            percent(set.halves.map(|h| h.more_confident)),
            percent(set.halves.map(|h| h.less_confident)),
        );
    }
    out.push_str("</table></div><p class=\"key soft\">");
    for verdict in Verdict::ALL {
        let class = verdict.name().to_lowercase();
        let _ = write!(out, "<i style=\"background:var(--{class})\"></i>{verdict}");
    }
    out.push_str("</p>");
    for pairs in &evaluation.pairs {
        let _ = write!(
            out,
            "<p><b>{}</b>: in {} of {} pairs the better text has the higher Q.</p>",
            escaped(&pairs.set),
            percent(Some(pairs.accuracy)),
            pairs.pairs,
        );
    }
}

fn pictures(out: &mut String, set: &SetFigures) {
    let domains: Vec<String> = set.domains.iter().map(|(name, n)| format!("{name} {n}")).collect();
    let _ = write!(
        out,
        "<section class=\"set\"><h3>{} <span class=\"soft\">· judged as {}</span></h3><div class=\"charts\">",
        escaped(&set.set),
        if domains.is_empty() { "nothing".to_owned() } else { domains.join(", ") },
    );
    for (title, picture) in [
        ("Share of each label by Q", svg::histogram(set)),
        ("Share of good items passed (ROC)", svg::roc(set)),
        ("Share of good items by Q", svg::good_by_q(set)),
        ("Share judged right by confidence", svg::right_by_confidence(set)),
    ] {
        let _ = write!(out, "<figure><figcaption>{title}</figcaption>{picture}</figure>");
    }
    out.push_str("</div></section>");
}

fn dimensions(out: &mut String, evaluation: &Evaluation) {
    out.push_str("<h2>Dimensions</h2><p class=\"soft\">How they move together over all items: the stronger the colour, the more two dimensions say the same.</p><p class=\"key soft\"><i style=\"background:var(--good)\"></i>together<i style=\"background:var(--bad)\"></i>against each other<i style=\"background:var(--line)\"></i>never moves</p>");
    let _ = write!(
        out,
        "<div class=\"wide matrix\">{}</div>",
        svg::correlations(&evaluation.dimensions.correlations)
    );
    for twins in &evaluation.dimensions.twins {
        let _ = write!(
            out,
            "<p>{} and {} are one function (r = {:.3}).</p>",
            twins.first, twins.second, twins.correlation
        );
    }
    for constant in &evaluation.dimensions.constant {
        let share = percent(Some(constant.share));
        let _ = write!(
            out,
            "<p>{} says {:.1} for {share} of the items.</p>",
            constant.dimension, constant.value
        );
    }
    out.push_str("<details><summary>Each dimension alone</summary><div class=\"wide\"><table><tr><th>dimension<th>axiom<th>mean<th>standard deviation<th>AUC</tr>");
    for profile in &evaluation.profiles {
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td>{:.1}<td>{:.1}<td>{}</tr>",
            profile.dimension,
            profile.dimension.axiom(),
            profile.mean,
            profile.std,
            ratio(profile.auc),
        );
    }
    out.push_str("</table></div></details>");
}

fn failures(out: &mut String, evaluation: &Evaluation) {
    if evaluation.failures.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "<h2>Not judged</h2><p class=\"soft\">{} items are in no figure.</p><div class=\"wide\"><table class=\"words\"><tr><th>set<th>item<th>why</tr>",
        evaluation.failures.len()
    );
    for failure in evaluation.failures.iter().take(FAILURES_SHOWN) {
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td>{}</tr>",
            escaped(&failure.set),
            escaped(&failure.id),
            escaped(&failure.error)
        );
    }
    out.push_str("</table></div>");
}

fn mistakes(out: &mut String, evaluation: &Evaluation) {
    if evaluation.mistakes.is_empty() {
        return;
    }
    out.push_str("<h2>Worst mistakes</h2><p class=\"soft\">Bad items that passed and good items that did not, furthest from the border of Q = 50 first, with what moved the judge most.</p>");
    let mut current = None;
    for mistake in &evaluation.mistakes {
        let group = (&mistake.set, mistake.label);
        if current != Some(group) {
            if current.is_some() {
                out.push_str("</div>");
            }
            let what = match mistake.label {
                Label::Good => "good, but flagged",
                Label::Bad => "bad, but passed",
            };
            let _ = write!(
                out,
                "<h3 style=\"margin-top:22px\">{} <span class=\"soft\">· {what}</span></h3><div class=\"mistakes\">",
                escaped(&mistake.set)
            );
            current = Some(group);
        }
        out.push_str(&card(mistake));
    }
    out.push_str("</div>");
}

fn card(mistake: &Mistake) -> String {
    let judgment = &mistake.judgment;
    let mut evidence: Vec<&Evidence> = mistake.details.evidence.iter().collect();
    evidence.sort_by(|a, b| b.points.abs().total_cmp(&a.points.abs()));
    evidence.truncate(EVIDENCE_SHOWN);
    let mut out = format!(
        "<div class=\"card mistake\"><b class=\"q\">{:.1}</b> <span class=\"badge {}\">{}</span> <span>confidence {:.2} · {} · {} of {DIMENSIONS} dimensions · {}</span><blockquote>{}</blockquote><ul>",
        judgment.q_score,
        judgment.verdict.name().to_lowercase(),
        judgment.verdict,
        judgment.confidence,
        judgment.domain,
        judgment.covered(),
        escaped(&mistake.id),
        marked(&mistake.text, &evidence),
    );
    for piece in evidence {
        let class = if piece.points < 0.0 { "down" } else { "up" };
        let text = piece.text.as_deref().map(|t| format!(" “{}”", escaped(t))).unwrap_or_default();
        let _ = write!(
            out,
            "<li><b class=\"{class}\">{:+.1}</b><span>{} <code>{}</code>{text}</span></li>",
            piece.points,
            piece.dimension,
            escaped(&piece.code),
        );
    }
    out.push_str("</ul></div>");
    out
}

/// The text with the places marked that the evidence points to. A span that does not fit the text, which
/// may be only the beginning of the body, is passed over.
fn marked(text: &str, evidence: &[&Evidence]) -> String {
    let mut spans: Vec<(usize, usize)> = evidence
        .iter()
        .filter_map(|piece| piece.span)
        .map(|(start, end)| (start as usize, end as usize))
        .filter(|(start, end)| text.get(*start..*end).is_some_and(|part| !part.is_empty()))
        .collect();
    spans.sort_unstable();
    let mut out = String::new();
    let mut shown = 0;
    for (start, end) in spans {
        let start = start.max(shown);
        if start < end {
            out.push_str(&escaped(&text[shown..start]));
            let _ = write!(out, "<mark>{}</mark>", escaped(&text[start..end]));
            shown = end;
        }
    }
    out + &escaped(&text[shown..])
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".into(), |v| format!("{v:.3}"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".into(), |v| format!("{:.1}%", v * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cynic_proto::model::Dimension;

    use crate::evaluation::tests::judged;
    use crate::evaluation::{Collector, Failure};

    #[test]
    fn hostile_contents_stay_text() {
        let hostile =
            "</blockquote><script>alert(1)</script><img src=x onerror=\"alert('2')\">\u{202e}";
        let mut item = judged(hostile, hostile, Label::Bad, 90.0, 0.5);
        item.text = hostile.into();
        item.details.evidence[0].text = Some(hostile.into());
        item.details.evidence[0].code = hostile.into();
        let mut collector = Collector::default();
        collector.note(hostile);
        let (set, id, error) = (hostile.into(), hostile.into(), hostile.into());
        collector.push_failure(Failure { set, id, error });
        collector.push(item);
        let page = collector.finish().render_html();
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{202e}'));
        assert!(page.contains("&lt;script&gt;alert(1)"));
    }

    #[test]
    fn marks_merge_and_never_cut_a_character() {
        let at = |span| Evidence {
            dimension: Dimension::Candor,
            code: String::new(),
            points: 1.0,
            span: Some(span),
            text: None,
        };
        let evidence = [at((0, 2)), at((1, 4)), at((1, 1)), at((7, 8)), at((6, 600)), at((9, 3))];
        let text = "a<bcd \u{1f415}";
        let out = marked(text, &evidence.iter().collect::<Vec<_>>());
        assert_eq!(out, "<mark>a&lt;</mark><mark>bc</mark>d \u{1f415}");
    }

    #[test]
    fn nothing_comes_from_outside() {
        let page = Evaluation::from(vec![
            judged("a", "1", Label::Good, 45.0, 0.1),
            judged("a", "2", Label::Bad, 60.0, 0.2),
        ])
        .render_html();
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("labelled good"));
    }

    #[test]
    fn an_empty_evaluation_renders() {
        let page = Evaluation::from(Vec::new()).render_html();
        assert!(page.ends_with("</html>\n"));
    }
}
