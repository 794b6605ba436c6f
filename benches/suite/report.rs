//! Rows of figures: ours, the other's, the ratio.

use ropeway::cli::bench::figure::short;
pub use ropeway::cli::bench::figure::{Figure, Random, ms, source_text};
use serde_json::json;

struct Row {
    name: String,
    unit: &'static str,
    ours: Figure,
    other: Option<(String, Figure)>,
    goal: &'static str,
}

pub struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Report {
    pub fn new() -> Self {
        Self { rows: Vec::new(), notes: Vec::new() }
    }

    pub fn alone(&mut self, name: &str, unit: &'static str, ours: Figure, goal: &'static str) {
        self.rows.push(Row { name: name.into(), unit, ours, other: None, goal });
    }

    pub fn beside(&mut self, name: &str, unit: &'static str, ours: Figure, other: (&str, Figure), goal: &'static str) {
        self.rows.push(Row { name: name.into(), unit, ours, other: Some((other.0.into(), other.1)), goal });
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub fn print(&self) {
        println!("{:<46} {:>22} {:>30} {:>7}  goal", "", "ropeway [quartiles]", "beside", "ratio");
        for row in &self.rows {
            let figure = |f: &Figure| format!("{} [{}–{}] {}", short(f.median), short(f.low), short(f.high), row.unit);
            let (other, ratio) = match &row.other {
                Some((name, other)) => (
                    format!("{name} {} {}", short(other.median), row.unit),
                    format!("{:.2}", row.ours.median / other.median),
                ),
                None => (String::new(), String::new()),
            };
            println!("{:<46} {:>22} {:>30} {:>7}  {}", row.name, figure(&row.ours), other, ratio, row.goal);
        }
        for note in &self.notes {
            println!("note: {note}");
        }
    }

    pub fn json(&self) -> String {
        let figure = |f: &Figure| json!({"median": f.median, "q1": f.low, "q3": f.high, "samples": f.samples});
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let other = row.other.as_ref().map(|(name, f)| json!({"name": name, "figure": figure(f)}));
                json!({"name": row.name, "unit": row.unit, "ropeway": figure(&row.ours), "beside": other, "goal": row.goal})
            })
            .collect();
        json!({ "rows": rows, "notes": self.notes }).to_string()
    }
}
