//! Rows of figures: ours, the other's, the ratio.

use std::time::Duration;

use serde_json::json;

/// Median and quartiles of some samples.
#[derive(Clone, Copy)]
pub struct Figure {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    pub samples: usize,
}

impl Figure {
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut samples: Vec<f64> = samples.into_iter().collect();
        samples.sort_by(f64::total_cmp);
        assert!(!samples.is_empty(), "nothing was measured");
        let at = |part: f64| samples[((samples.len() - 1) as f64 * part).round() as usize];
        Self { median: at(0.5), low: at(0.25), high: at(0.75), samples: samples.len() }
    }
}

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

fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A seeded generator: the same places in every run and for every server.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// `size` bytes of lines like those of ordinary source code, mostly ASCII.
pub fn source_text(size: usize) -> String {
    let lines = [
        "    fn parse(&self, input: &str) -> Result<Token, Error> {\n",
        "        let mut tokens = Vec::with_capacity(input.len() / 4);\n",
        "\n",
        "        // Größe in Zeichen, nicht in Bytes; “quoted” text and an emoji 😀 now and then.\n",
        "        while let Some((offset, character)) = characters.next() {\n",
        "            tokens.push(Token { kind: Kind::Word, offset, length: character.len_utf8() });\n",
        "        }\n",
        "    }\n",
    ];
    let mut text = String::with_capacity(size + 100);
    let mut random = Random(7);
    while text.len() < size {
        let pick = random.below(40);
        text.push_str(lines[if pick == 0 { 3 } else { [0, 1, 2, 4, 5, 6, 7][pick % 7] }]);
    }
    text
}
