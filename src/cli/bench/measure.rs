//! One measurement: work that is prepared once and then timed as often as somebody wants.

use super::figure::Figure;

/// Work that can be timed again and again.
pub struct Measure {
    /// Its name in saved files: these never change their meaning.
    pub id: &'static str,
    /// Its name for people.
    pub name: String,
    /// Of its samples; less is better, whatever it is.
    pub unit: &'static str,
    /// Samples of one round.
    per_round: usize,
    sample: Box<dyn FnMut() -> anyhow::Result<f64>>,
}

impl Measure {
    /// `sample` gives the time of one piece of work.
    pub fn new(
        id: &'static str,
        name: impl Into<String>,
        unit: &'static str,
        per_round: usize,
        sample: impl FnMut() -> anyhow::Result<f64> + 'static,
    ) -> Self {
        Self { id, name: name.into(), unit, per_round, sample: Box::new(sample) }
    }

    /// The time of one piece of work.
    ///
    /// # Errors
    /// The work did not do what it should.
    pub fn sample(&mut self) -> anyhow::Result<f64> {
        (self.sample)()
    }

    /// The median of a round, so that a single hiccup of the machine does not count.
    ///
    /// # Errors
    /// As [`Measure::sample`].
    pub fn round(&mut self) -> anyhow::Result<f64> {
        let samples: Vec<f64> = (0..self.per_round).map(|_| self.sample()).collect::<Result<_, _>>()?;
        Ok(Figure::of(samples).median)
    }

    /// So many samples together.
    ///
    /// # Errors
    /// As [`Measure::sample`].
    pub fn figure(&mut self, samples: usize) -> anyhow::Result<Figure> {
        let samples: Vec<f64> = (0..samples).map(|_| self.sample()).collect::<Result<_, _>>()?;
        Ok(Figure::of(samples))
    }
}
