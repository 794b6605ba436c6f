//! Figures with their spread, and what measurements share: a seeded generator, a text like source code.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Median and quartiles of some samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The sample in the middle.
    pub median: f64,
    /// The first quartile.
    #[serde(rename = "q1")]
    pub low: f64,
    /// The third quartile.
    #[serde(rename = "q3")]
    pub high: f64,
    /// How many there were.
    pub samples: usize,
}

impl Figure {
    /// Of at least one sample; of none it is not a number.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut samples: Vec<f64> = samples.into_iter().collect();
        samples.sort_by(f64::total_cmp);
        let last = samples.len().saturating_sub(1) as f64;
        let at = |part: f64| samples.get((last * part).round() as usize).copied().unwrap_or(f64::NAN);
        Self { median: at(0.5), low: at(0.25), high: at(0.75), samples: samples.len() }
    }
}

/// With three digits, or four behind the point.
pub fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// In milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Since a moment, in microseconds.
pub fn us_since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6
}

/// A seeded generator: the same places in every run and for every server.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number below `bound`, which is not 0.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_with_its_quartiles() {
        let figure = Figure::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((figure.low, figure.median, figure.high, figure.samples), (2.0, 3.0, 4.0, 5));
        assert!(Figure::of([]).median.is_nan());
    }

    #[test]
    fn numbers_are_told_with_as_many_digits_as_they_have() {
        assert_eq!([1234.5, 12.34, 1.234, 0.01234].map(short), ["1234", "12.3", "1.23", "0.0123"]);
    }
}
