//! How `top` looks. At least 80×24; a larger terminal shows more workers and longer sparklines. Nothing is told
//! by colour alone.

use cynic_proto::model::Verdict;
use cynic_proto::stats::WorkerStats;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Sparkline, Table, TableState};

use super::model::Model;
use crate::text::{bytes, counted, elapsed, grouped, micros, printable};

/// Lines of a sparkline.
const SPARK_ROWS: u16 = 3;

/// Lines of the worker's detail.
const DETAIL_ROWS: u16 = 5;

/// Headings and what matters most; shown without colour too.
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

/// Draws everything.
pub(super) fn draw(frame: &mut Frame, model: &Model, coloured: bool) {
    let look = Look { coloured };
    let detail = if model.detail { DETAIL_ROWS } else { 0 };
    let [head, load, sparks, answers, workers, detail, deaths, keys] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(3),
        Constraint::Length(SPARK_ROWS + 1),
        Constraint::Length(3),
        Constraint::Min(3),
        Constraint::Length(detail),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(head_lines(model, look)), head);
    frame.render_widget(Paragraph::new(load_lines(model)), load);
    draw_sparks(frame, sparks, model, look);
    frame.render_widget(Paragraph::new(answer_lines(model, look)), answers);
    draw_workers(frame, workers, model, look);
    if let Some(worker) = model.workers().get(model.chosen_place()).filter(|_| model.detail) {
        frame.render_widget(Paragraph::new(detail_lines(worker)), detail);
    }
    frame.render_widget(Paragraph::new(death_line(model, look)), deaths);
    let text = format!(
        "q quit  p {}  s sort ({})  ↑↓ choose  enter detail",
        if model.paused { "go on" } else { "pause" },
        model.sort.name()
    );
    frame.render_widget(Paragraph::new(text).style(look.faint()), keys);
}

/// Styles, which are none without colour.
#[derive(Clone, Copy)]
struct Look {
    coloured: bool,
}

impl Look {
    fn colour(self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }

    fn good(self) -> Style {
        self.colour(Color::Green)
    }

    fn warn(self) -> Style {
        self.colour(Color::Yellow)
    }

    fn bad(self) -> Style {
        self.colour(Color::Red)
    }

    fn faint(self) -> Style {
        if self.coloured { Style::new().add_modifier(Modifier::DIM) } else { Style::new() }
    }

    fn verdict(self, verdict: Verdict) -> Style {
        match verdict {
            Verdict::Howl | Verdict::Wag => self.good(),
            Verdict::Growl => self.warn(),
            Verdict::Bark => self.bad(),
        }
    }
}

fn head_lines(model: &Model, look: Look) -> Vec<Line<'static>> {
    let stats = &model.stats;
    let (condition, style) = if model.lost.is_some() {
        ("no answer", look.bad())
    } else if stats.draining {
        ("draining", look.warn())
    } else if !stats.ready {
        ("not ready", look.bad())
    } else if stats.degraded.is_empty() {
        ("ready", look.good())
    } else {
        ("ready, degraded", look.warn())
    };
    let first = Line::from(vec![
        Span::styled(printable(&stats.build), STRONG),
        Span::raw("  "),
        Span::styled(condition, style),
        Span::raw(format!("  up {}  pid {}", elapsed(stats.uptime_s), stats.pid)),
        Span::styled(if model.paused { "  [paused]" } else { "" }, STRONG),
    ]);
    let problem = model.lost.clone().or_else(|| stats.degraded.first().cloned());
    let second = problem.map(|what| Line::styled(printable(&what), look.warn()));
    vec![first, second.unwrap_or_default()]
}

fn load_lines(model: &Model) -> Vec<Line<'static>> {
    let (pool, rates, clients) = (&model.stats.pool, &model.rates, &model.stats.clients);
    let oldest = micros(pool.oldest_wait_ms as f64 * 1e3);
    vec![
        Line::raw(format!(
            "Pool     {}, {} idle   active {}   breaker {}   clients {}/{}",
            counted(pool.pool_size.into(), "worker"),
            pool.workers_idle,
            pool.active_tasks,
            if pool.breaker_open { "OPEN" } else { "closed" },
            clients.connected,
            clients.max
        )),
        Line::raw(format!(
            "Queue    {} (most {})   {}   oldest {oldest}",
            counted(pool.queue_length.into(), "task"),
            grouped(pool.queue_length_max.into()),
            bytes(pool.queue_bytes)
        )),
        Line::raw(format!(
            "Rates    {}/s answered   {}/s refused   {}/s failed   {}/s stored",
            grouped(rates.answered),
            grouped(rates.refused),
            grouped(rates.failed),
            grouped(rates.stored)
        )),
    ]
}

fn draw_sparks(frame: &mut Frame, area: Rect, model: &Model, look: Look) {
    let halves = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(2);
    let [left, right] = halves.areas(area);
    let latency = &model.stats.latency;
    let now = model.latency_us.back().copied().unwrap_or_default();
    let title = format!(
        "latency {}  (p50 {}, p99 {})",
        micros(now as f64),
        micros(latency.p50_us as f64),
        micros(latency.p99_us as f64)
    );
    let answered = format!("answered {}/s", grouped(model.rates.answered));
    draw_spark(frame, left, &answered, &model.answered, look.good());
    draw_spark(frame, right, &title, &model.latency_us, look.warn());
}

fn draw_spark(
    frame: &mut Frame,
    area: Rect,
    title: &str,
    points: &std::collections::VecDeque<u64>,
    style: Style,
) {
    let [head, body] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(SPARK_ROWS)]).areas(area);
    frame.render_widget(Paragraph::new(title), head);
    let skip = points.len().saturating_sub(usize::from(body.width));
    let shown: Vec<u64> = points.iter().skip(skip).copied().collect();
    frame.render_widget(Sparkline::default().data(&shown).style(style), body);
}

fn answer_lines(model: &Model, look: Look) -> Vec<Line<'static>> {
    let (stats, recorder) = (&model.stats, &model.stats.recorder);
    let mut verdicts = vec![Span::raw("Verdicts ")];
    for verdict in Verdict::ALL {
        let n = stats.verdicts.get(verdict.name()).copied().unwrap_or_default();
        verdicts.push(Span::styled(format!("{verdict} {}", grouped(n)), look.verdict(verdict)));
        verdicts.push(Span::raw("   "));
    }
    let spool = format!("{} in the spool", grouped(recorder.spilled));
    let spool_style = if recorder.spilled > 0 { look.warn() } else { Style::new() };
    let store = Line::from(vec![
        Span::raw(format!(
            "Store    {}   {} stored   {} buffered   ",
            printable(&recorder.store),
            grouped(recorder.flushed),
            grouped(recorder.buffered)
        )),
        Span::styled(spool, spool_style),
        Span::raw(format!("   p99 {}", micros(recorder.flush_latency.p99_us as f64))),
    ]);
    vec![Line::from(verdicts), store]
}

fn draw_workers(frame: &mut Frame, area: Rect, model: &Model, look: Look) {
    let row = |worker: &&WorkerStats| {
        let style = match worker.state.as_str() {
            "down" => look.bad(),
            "idle" => look.good(),
            _ => Style::new(),
        };
        let there = worker.pid != 0;
        let or_none = |text: String| if there { text } else { "-".to_owned() };
        Row::new(vec![
            Line::raw(format!("{}.{}", worker.slot, worker.generation)),
            Line::raw(or_none(worker.pid.to_string())).right_aligned(),
            Line::styled(printable(&worker.state), style),
            Line::raw(grouped(worker.tasks)).right_aligned(),
            Line::raw(or_none(bytes(worker.memory_bytes))).right_aligned(),
            Line::raw(printable(&worker.doing)),
        ])
    };
    let workers = model.workers();
    let widths = [
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(12),
        Constraint::Length(10),
        Constraint::Fill(1),
    ];
    let head = Row::new(vec![
        Line::raw("WORKER"),
        Line::raw("PID").right_aligned(),
        Line::raw("STATE"),
        Line::raw("TASKS").right_aligned(),
        Line::raw("MEMORY").right_aligned(),
        Line::raw("DOING"),
    ]);
    let table = Table::new(workers.iter().map(row), widths)
        .header(head.style(STRONG))
        .column_spacing(2)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(Some(model.chosen_place()));
    frame.render_stateful_widget(table, area, &mut state);
}

fn detail_lines(worker: &WorkerStats) -> Vec<Line<'static>> {
    let doing = if worker.doing.is_empty() { "nothing" } else { &worker.doing };
    vec![
        Line::styled(format!("Worker in slot {}", worker.slot), STRONG),
        Line::raw(format!(
            "  process {} (the {}. in this slot), {}, {}, {}",
            worker.pid,
            worker.generation,
            printable(&worker.state),
            counted(worker.tasks, "task"),
            bytes(worker.memory_bytes)
        )),
        Line::raw(format!("  sandbox {}", printable(&worker.sandbox))),
        Line::raw(format!("  doing {}", printable(doing))),
    ]
}

fn death_line(model: &Model, look: Look) -> Line<'static> {
    let total: u64 = model.stats.pool.deaths.values().sum();
    if total == 0 {
        return Line::styled("no worker has died", look.faint());
    }
    let last: Vec<String> = model.stats.last_deaths.iter().rev().map(crate::text::death).collect();
    let text = format!("Deaths   {} in all; last: {}", grouped(total), last.join("; "));
    Line::styled(text, look.bad())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::model::Key;
    use cynic_proto::stats::{LastDeath, Stats};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn busy() -> Stats {
        let mut stats = Stats {
            build: "cynic/0.1.0".to_owned(),
            pid: 4711,
            uptime_s: 7_260,
            ready: true,
            ..Stats::default()
        };
        stats.pool.pool_size = 2;
        stats.pool.queue_length = 1_234;
        stats.recorder.store = "sqlite".to_owned();
        for (slot, state, doing) in [(0, "busy", "score CANDOR"), (1, "idle", "")] {
            stats.workers.push(WorkerStats {
                slot,
                generation: 1,
                pid: 100 + u32::from(slot),
                state: state.to_owned(),
                tasks: 1_000,
                memory_bytes: 12 << 20,
                sandbox: "enforced".to_owned(),
                doing: doing.to_owned(),
            });
        }
        stats
    }

    fn screen(model: &Model, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen");
        terminal.draw(|frame| draw(frame, model, false)).expect("drawn");
        terminal.backend().to_string()
    }

    #[test]
    fn a_small_terminal_shows_all_that_matters() {
        let mut model = Model::new(busy());
        let mut next = busy();
        next.pool.tasks_processed = 5_000;
        next.pool.deaths.insert("deadline".to_owned(), 1);
        let doing = "score CANDOR".to_owned();
        let cause = "it overran its deadline".to_owned();
        next.last_deaths.push(LastDeath { ago_ms: 65_000, worker: "1.3".to_owned(), cause, doing });
        model.update(next);
        model.key(Key::Detail);
        let screen = screen(&model, 80, 24);
        for part in [
            "cynic/0.1.0  ready  up 2 h",
            "1,234 tasks",
            "5,000/s answered",
            "score CANDOR",
            "sandbox enforced",
            "1 in all; last: it overran its deadline (score CANDOR) 1 min 5 s ago",
            "q quit",
            "▇",
        ] {
            assert!(
                screen.contains(part) || part == "▇" && screen.contains('█'),
                "{part}:\n{screen}"
            );
        }
    }

    #[test]
    fn no_size_and_no_figures_are_too_small() {
        let model = Model::new(Stats::default());
        for (width, height) in [(1, 1), (20, 5), (80, 24), (300, 100)] {
            screen(&model, width, height);
        }
    }
}
