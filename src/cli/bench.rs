//! `ropeway bench`: how fast this build is on this machine, and whether that became worse.
//!
//! The measurements of `benches/` that need no peer live here, so that both measure the same. All take their rounds in
//! turn: a slow spell of the machine then shows as spread, and not as a slow measurement. No network, no writing but
//! below the system's temporary folder (and to `--save`).

pub mod compare;
pub mod decode;
pub mod figure;
pub mod measure;
pub mod prepare;
pub mod server;
pub mod text;
pub mod tokens;
pub mod tools;

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use anyhow::{Context, bail};

use self::compare::{Compared, Row, Saved, Verdict};
use self::figure::{Figure, short};
use self::measure::Measure;
use super::args::BenchArgs;
use super::terminal::{Ink, Style, visible};
use super::{DONE, FAILED, complain};

/// A saved file larger than this is none of ours.
const LARGEST: u64 = 1 << 20;

/// Measures, prints, saves, compares; code 1 on a regression.
pub(super) fn bench(args: &BenchArgs) -> anyhow::Result<u8> {
    // Before the work: a mistake in the name shows at once, and the file may be the one that is saved to.
    let before = args.compare.as_deref().map(load).transpose()?;
    let saved = Saved::now(measure(args)?);
    if let Some(path) = &args.save {
        let text = serde_json::to_string_pretty(&saved)? + "\n";
        #[expect(
            clippy::disallowed_methods,
            reason = "a subcommand writes where its user says; the server never does"
        )]
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let compared = before.as_ref().map(|before| compare::compare(before, &saved, args.max_regression));
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        serde_json::to_writer_pretty(&mut out, &compare::report(&saved, compared.as_deref()))?;
        writeln!(out)?;
    } else {
        print(&mut out, &saved, compared.as_deref(), Style::stdout())?;
    }
    out.flush()?;
    if let Some(other) = before.filter(|before| before.build != saved.build || before.platform != saved.platform) {
        let (build, platform) = (visible(&other.build), visible(&other.platform));
        complain(&format!("the saved figures are of a {build} build on {platform}: not of one like this"));
    }
    let mut code = DONE;
    for row in compared.iter().flatten().filter(|row| row.verdict == Verdict::Regression) {
        complain(&row.complaint(args.max_regression));
        code = FAILED;
    }
    Ok(code)
}

/// Everything that can be measured in this build. Gives the figures in this order.
fn measures() -> anyhow::Result<Vec<Measure>> {
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let mut all = server::all(&program)?;
    all.push(text::keystroke("keystroke-1mb", 1 << 20, "1 MB"));
    all.push(text::keystroke("keystroke-10mb", 10 << 20, "10 MB"));
    all.push(text::keystroke_over_staged()?);
    all.push(text::snapshot());
    all.push(text::carry()?);
    all.extend(decode::PROTOCOLS.iter().filter(|protocol| protocol.is_built_in()).map(decode::Protocol::measure));
    all.push(prepare::request());
    all.push(tokens::count(1 << 20));
    all.extend(tools::all()?);
    Ok(all)
}

fn measure(args: &BenchArgs) -> anyhow::Result<Vec<Row>> {
    let mut measures = measures()?;
    if !args.only.is_empty() {
        if let Some(unknown) = args.only.iter().find(|only| measures.iter().all(|measure| measure.id != **only)) {
            let ids: Vec<_> = measures.iter().map(|measure| measure.id).collect();
            bail!("there is no measurement `{}`; there are {}", unknown.escape_debug(), ids.join(", "));
        }
        measures.retain(|measure| args.only.iter().any(|only| measure.id == only));
    }
    let shows = io::stderr().is_terminal();
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); measures.len()];
    for round in 0..=args.rounds {
        if shows {
            let _ = write!(io::stderr(), "\rround {round} of {}", args.rounds);
        }
        for (measure, rounds) in measures.iter_mut().zip(&mut rounds) {
            let took = measure.round().with_context(|| format!("measuring {}", measure.id))?;
            // The first one fills caches and makes tables.
            if round > 0 {
                rounds.push(took);
            }
        }
    }
    if shows {
        let _ = write!(io::stderr(), "\r{:24}\r", "");
    }
    let row = |(measure, rounds): (Measure, Vec<f64>)| Row {
        id: measure.id.to_owned(),
        name: measure.name,
        unit: measure.unit.to_owned(),
        figure: Figure::of(rounds),
    };
    Ok(measures.into_iter().zip(rounds).map(row).collect())
}

fn load(path: &Path) -> anyhow::Result<Saved> {
    let place = || format!("{} cannot be compared with", path.display());
    let mut text = String::new();
    #[expect(clippy::disallowed_methods, reason = "a subcommand reads the files its user names; the server never does")]
    let file = std::fs::File::open(path).with_context(place)?;
    file.take(LARGEST + 1).read_to_string(&mut text).with_context(place)?;
    if text.len() as u64 > LARGEST {
        bail!("{}: it is too large for a file of `ropeway bench --save`", place());
    }
    Saved::read(&text).with_context(place)
}

fn print(out: &mut impl Write, saved: &Saved, compared: Option<&[Compared]>, style: Style) -> io::Result<()> {
    writeln!(out, "ropeway {} ({}, {}), medians [quartiles]", saved.version, saved.build, saved.platform)?;
    for row in &saved.rows {
        let Figure { median, low, high, .. } = row.figure;
        let figure = format!("{} [{}–{}] {}", short(median), short(low), short(high), row.unit);
        let line = format!("{:<44} {figure:>26}", row.name);
        let found = compared.and_then(|compared| compared.iter().find(|other| other.id == row.id));
        let Some(found) = found else {
            writeln!(out, "{line}")?;
            continue;
        };
        let ink = match found.verdict {
            Verdict::Regression => Ink::Bad,
            Verdict::Better => Ink::Good,
            _ => Ink::Plain,
        };
        writeln!(out, "{line}  {}", style.paint(ink, &found.words()))?;
    }
    for gone in compared.into_iter().flatten().filter(|row| row.verdict == Verdict::Gone) {
        writeln!(out, "{:<44} {:>26}  {}", visible(&gone.id), "", gone.words())?;
    }
    Ok(())
}
