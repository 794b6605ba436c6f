//! Saved figures, and whether newer ones are worse.
//!
//! A regression is a median that grew by more than what is allowed while the quartiles of then and now do not meet: a
//! difference within the spread is none.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::figure::{Figure, short};

/// The version of the file's form.
const SCHEMA: u32 = 1;
/// More rows than anybody measures.
const MOST_ROWS: usize = 1_000;

/// One measurement's figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name, which never changes its meaning.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Less is better, whatever it is.
    pub unit: String,
    /// Over the rounds.
    #[serde(flatten)]
    pub figure: Figure,
}

/// What `--save` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// The version of this form.
    pub schema: u32,
    /// Ropeway's.
    pub version: String,
    /// `debug` or `release`.
    pub build: String,
    /// `ARCHITECTURE-SYSTEM`.
    pub platform: String,
    /// The figures.
    pub rows: Vec<Row>,
}

impl Saved {
    /// The figures of this build on this machine.
    pub fn now(rows: Vec<Row>) -> Self {
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            rows,
        }
    }

    /// Reads what was saved.
    ///
    /// # Errors
    /// It is no such file, or one of a later form.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        let value: Value = serde_json::from_str(text).context("it is no JSON")?;
        match value["schema"].as_u64() {
            Some(1) => {}
            Some(_) => bail!("it was saved by a later version of Ropeway; use that one, or save it again"),
            None => bail!("it was not written by `ropeway bench --save`"),
        }
        let saved: Self = serde_json::from_value(value).context("it was not written by `ropeway bench --save`")?;
        let good = |row: &Row| {
            let Figure { median, low, high, .. } = row.figure;
            median > 0.0 && low >= 0.0 && low <= median && median <= high && high.is_finite()
        };
        if saved.rows.len() > MOST_ROWS {
            bail!("it has {} rows, too many", saved.rows.len());
        }
        if let Some(bad) = saved.rows.iter().find(|row| !good(row)) {
            bail!("the figures of `{}` cannot be", bad.id.escape_debug());
        }
        Ok(saved)
    }
}

/// How a figure stands to the saved one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Worse by more than is allowed, and beyond the spread.
    Regression,
    /// Better beyond the spread.
    Better,
    /// Neither.
    Same,
    /// It was not measured then.
    New,
    /// It is not measured now.
    Gone,
}

/// A figure beside the saved one.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The measurement.
    pub id: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Its name for people.
    name: String,
    unit: String,
    before: Option<Figure>,
    now: Option<Figure>,
}

impl Compared {
    /// By how much the median grew; 0.1 is a tenth.
    pub fn change(&self) -> Option<f64> {
        Some(self.now?.median / self.before?.median - 1.0)
    }

    /// In a few words.
    pub fn words(&self) -> String {
        let change = self.change().map(|change| format!("{:+.1}%", change * 100.0)).unwrap_or_default();
        let before = self.before.map(|before| short(before.median)).unwrap_or_default();
        match self.verdict {
            Verdict::Regression => format!("{change} from {before}: REGRESSION"),
            Verdict::Better => format!("{change} from {before}: better"),
            Verdict::Same => format!("{change} from {before}"),
            Verdict::New => "was not measured then".to_owned(),
            Verdict::Gone => "is not measured now".to_owned(),
        }
    }

    /// The sentence about a regression.
    pub fn complaint(&self, allowed: f64) -> String {
        let spread = |figure: Option<Figure>| {
            figure.map(|it| format!("{} [{}–{}]", short(it.median), short(it.low), short(it.high))).unwrap_or_default()
        };
        format!(
            "regression: {} ({}) went from {} to {} {}, {:+.1}%; allowed are {:.1}%",
            self.name,
            self.id,
            spread(self.before),
            spread(self.now),
            self.unit,
            self.change().unwrap_or_default() * 100.0,
            allowed * 100.0
        )
    }
}

/// Compares, in the order of now; `allowed` is a share of the saved median.
pub fn compare(before: &Saved, now: &Saved, allowed: f64) -> Vec<Compared> {
    let then = |id: &str| before.rows.iter().find(|row| row.id == id);
    let mut all: Vec<Compared> = now
        .rows
        .iter()
        .map(|row| {
            let old = then(&row.id).map(|row| row.figure);
            let verdict = old.map_or(Verdict::New, |old| verdict(&old, &row.figure, allowed));
            Compared {
                id: row.id.clone(),
                verdict,
                name: row.name.clone(),
                unit: row.unit.clone(),
                before: old,
                now: Some(row.figure),
            }
        })
        .collect();
    let gone = before.rows.iter().filter(|row| now.rows.iter().all(|other| other.id != row.id));
    all.extend(gone.map(|row| Compared {
        id: row.id.clone(),
        verdict: Verdict::Gone,
        name: row.name.clone(),
        unit: row.unit.clone(),
        before: Some(row.figure),
        now: None,
    }));
    all
}

fn verdict(before: &Figure, now: &Figure, allowed: f64) -> Verdict {
    if now.median > before.median * (1.0 + allowed) && now.low > before.high {
        Verdict::Regression
    } else if now.median < before.median && now.high < before.low {
        Verdict::Better
    } else {
        Verdict::Same
    }
}

/// What `--json` prints: the saved form and, where there was something to compare with, `before`, `change` and
/// `verdict` of each row.
pub fn report(saved: &Saved, compared: Option<&[Compared]>) -> Value {
    let mut report = json!(saved);
    let Some(compared) = compared else { return report };
    let beside = |row: &mut Value, found: &Compared| {
        row["verdict"] = json!(found.verdict);
        row["before"] = json!(found.before);
        row["change"] = json!(found.change());
    };
    for row in report["rows"].as_array_mut().into_iter().flatten() {
        if let Some(found) = compared.iter().find(|found| row["id"] == found.id.as_str()) {
            beside(row, found);
        }
    }
    let named = |verdict| -> Vec<&str> {
        compared.iter().filter(|row| row.verdict == verdict).map(|row| row.id.as_str()).collect()
    };
    report["regressions"] = json!(named(Verdict::Regression));
    report["gone"] = json!(named(Verdict::Gone));
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(rows: &[(&str, [f64; 3])]) -> Saved {
        let row = |(id, [low, median, high]): &(&str, [f64; 3])| Row {
            id: (*id).to_owned(),
            name: format!("the {id}"),
            unit: "µs".to_owned(),
            figure: Figure { median: *median, low: *low, high: *high, samples: 9 },
        };
        Saved::now(rows.iter().map(row).collect())
    }

    fn verdict_of(before: [f64; 3], now: [f64; 3]) -> Verdict {
        compare(&saved(&[("a", before)]), &saved(&[("a", now)]), 0.1)[0].verdict
    }

    #[test]
    fn a_regression_is_beyond_what_is_allowed_and_beyond_the_spread() {
        let before = [9.0, 10.0, 11.0];
        assert_eq!(verdict_of(before, [11.5, 12.0, 12.5]), Verdict::Regression);
        assert_eq!(verdict_of(before, [10.9, 12.0, 13.0]), Verdict::Same, "the quartiles meet");
        assert_eq!(verdict_of([9.9, 10.0, 10.1], [10.5, 10.9, 11.2]), Verdict::Same, "9 % are allowed");
        assert_eq!(verdict_of(before, [8.0, 8.5, 8.9]), Verdict::Better);
        assert_eq!(verdict_of(before, before), Verdict::Same);
    }

    #[test]
    fn it_says_which_and_by_how_much() {
        let (before, now) = (
            saved(&[("a", [9.0, 10.0, 11.0]), ("gone", [1.0; 3])]),
            saved(&[("a", [14.0, 15.0, 16.0]), ("new", [1.0; 3])]),
        );
        let compared = compare(&before, &now, 0.1);
        assert_eq!(
            compared[0].complaint(0.1),
            "regression: the a (a) went from 10.0 [9.00–11.0] to 15.0 [14.0–16.0] µs, +50.0%; allowed are 10.0%"
        );
        assert_eq!(compared[1..].iter().map(|row| row.verdict).collect::<Vec<_>>(), [Verdict::New, Verdict::Gone]);
        let report = report(&now, Some(&compared));
        assert_eq!((&report["regressions"], &report["gone"]), (&json!(["a"]), &json!(["gone"])));
        assert_eq!((&report["rows"][0]["change"], &report["rows"][0]["before"]["median"]), (&json!(0.5), &json!(10.0)));
        assert_eq!(report["rows"][1]["verdict"], "new");
    }

    #[test]
    fn what_was_saved_is_read_back_and_what_cannot_be_is_refused() {
        let good = saved(&[("a", [9.0, 10.0, 11.0])]);
        let text = serde_json::to_string(&good).unwrap();
        assert_eq!(Saved::read(&text).unwrap(), good);
        for (bad, words) in [
            ("", "no JSON"),
            ("[]", "not written by"),
            (r#"{"schema": 2}"#, "later version"),
            (r#"{"schema": 1, "rows": 3}"#, "not written by"),
            (&text.replace("10.0", "0.0"), "`a` cannot be"),
            (&text.replace("10.0", "-1.0"), "`a` cannot be"),
            (&text.replace("11.0", "1.0"), "`a` cannot be"),
            (&text.replace("10.0", "1e999"), "no JSON"),
        ] {
            let error = format!("{:#}", Saved::read(bad).unwrap_err());
            assert!(error.contains(words), "{bad}: {error}");
        }
    }
}
