//! `cynic-train`: trains the learned evidence and runs the gates. For developers; never installed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use cynic_judge::{FILES, Weights};
use cynic_train::corpus::{Corpus, Labelled, Pair};
use cynic_train::gates::{self, Gates, Memory, Plan};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

#[derive(Parser)]
#[command(version, about = "Trains CYNIC's learned evidence and measures the judge")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train the learned evidence and write it as the judge's weights.
    Train {
        /// Directory with labelled *.jsonl files.
        #[arg(long)]
        data: PathBuf,
        /// Directory of the weights.
        #[arg(long, default_value = "cynic-judge/weights")]
        out: PathBuf,
        /// The document that says what the weights do.
        #[arg(long, default_value = "docs/dimensions.md")]
        document: PathBuf,
    },
    /// Write what each dimension asks and what moves it, for the weights that this program was built with.
    Rubric {
        /// The document.
        #[arg(long, default_value = "docs/dimensions.md")]
        out: PathBuf,
    },
    /// Measure the judge against its gates; fails when a bar is missed.
    Eval {
        /// Directory with labelled *.jsonl files; without it only the project's own texts are judged.
        #[arg(long, conflicts_with = "own")]
        data: Option<PathBuf>,
        /// Judge the project's own texts only.
        #[arg(long)]
        own: bool,
        /// Leave out time and memory (always left out of unoptimised builds).
        #[arg(long)]
        no_cost: bool,
        /// A gate that is known to miss its bar: its miss is shown and does not fail the command.
        #[arg(long, value_name = "GATE")]
        known: Vec<String>,
        /// Also print the figures of every labelled set.
        #[arg(long)]
        figures: bool,
        /// Also print items that kept each figure from being better.
        #[arg(long)]
        examples: bool,
        /// Write the figures and pictures of the labelled sets to this file.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Write the figures of the labelled sets to this file as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let (data, own, no_cost, known, figures, examples, html, json) =
        match Arguments::parse().command {
            Command::Train { data, out, document } => return train(&data, &out, &document),
            Command::Rubric { out } => return rubric(&out, &Weights::builtin()),
            Command::Eval { data, own, no_cost, known, figures, examples, html, json } => {
                (data, own, no_cost, known, figures, examples, html, json)
            }
        };
    let memory = Memory {
        current: || ALLOCATOR.current_usage(),
        reset_peak: || ALLOCATOR.reset_peak_usage(),
        peak: || ALLOCATOR.peak_usage(),
    };
    let measured = !no_cost && !cfg!(debug_assertions);
    let plan = Plan { cost: measured.then_some(memory) };
    let result = match data.filter(|_| !own) {
        Some(directory) => {
            let corpus = Corpus::read(&directory)?;
            gates::over(&corpus, plan)
        }
        None => gates::own(plan),
    };
    report(&result, figures, html, json)?;
    if examples {
        print_text(&result.examples());
    }
    let failed = result.missed().any(|gate| !known.contains(&gate.what));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Trains on all labelled data and writes one file for each domain.
fn train(data: &Path, out: &Path, document: &Path) -> anyhow::Result<ExitCode> {
    let corpus = Corpus::read(data)?;
    let items: Vec<&Labelled> = corpus.items.iter().collect();
    let pairs: Vec<&Pair> = corpus.pairs.iter().collect();
    let weights = cynic_train::train::train(&items, &pairs);
    for (name, bytes) in FILES.iter().zip(weights.to_files()) {
        let path = out.join(name).with_extension("bin");
        std::fs::write(&path, bytes)
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    rubric(document, &weights)
}

fn rubric(path: &Path, weights: &Weights) -> anyhow::Result<ExitCode> {
    std::fs::write(path, cynic_train::rubric::document(weights))
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the figures are what the command is for")]
fn print_text(text: &str) {
    print!("{text}");
}

fn report(
    result: &Gates,
    figures: bool,
    html: Option<PathBuf>,
    json: Option<PathBuf>,
) -> anyhow::Result<()> {
    if let Some(evaluation) = &result.evaluation {
        let write = |path: PathBuf, text: String| {
            std::fs::write(&path, text)
                .with_context(|| format!("could not write {}", path.display()))
        };
        if figures {
            print_text(&evaluation.render_text());
            print_text("\n");
        }
        if let Some(path) = html {
            write(path, evaluation.render_html())?;
        }
        if let Some(path) = json {
            write(path, evaluation.to_json()?)?;
        }
    }
    print_text(&result.to_string());
    Ok(())
}
