//! Where the time of a run goes.

use std::time::{Duration, Instant};

use super::outcome::Timing;

/// Who was busy when: model and tools as intervals, so that the time won by overlapping them is a sum and no guess.
#[derive(Debug, Default)]
pub(super) struct Clock {
    model: Vec<(Instant, Instant)>,
    tools: Vec<(Instant, Instant)>,
}

impl Clock {
    /// A tool ran from then on for so long.
    pub(super) fn tool(&mut self, from: Instant, ran: Duration) {
        self.tools.push((from, from + ran));
    }

    /// A model response was awaited and arrived from then until now.
    pub(super) fn model(&mut self, began: Instant) {
        self.model.push((began, Instant::now()));
    }

    pub(super) fn timing(&self) -> Timing {
        let sum =
            |spans: &[(Instant, Instant)]| spans.iter().fold(0.0, |sum, (from, to)| sum + (*to - *from).as_secs_f64());
        let (model, tools) = (sum(&self.model), sum(&self.tools));
        let mut all: Vec<_> = self.model.iter().chain(&self.tools).copied().collect();
        all.sort_unstable();
        let (mut busy, mut end) = (0.0, None::<Instant>);
        for (from, to) in all {
            let from = end.map_or(from, |end| end.max(from));
            if to > from {
                busy += (to - from).as_secs_f64();
                end = Some(to);
            }
        }
        let overlap = (model + tools - busy).max(0.0);
        Timing { total_ms: 0.0, model_ms: model * 1e3, tool_ms: tools * 1e3, overlap_ms: overlap * 1e3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overlap_is_what_one_after_another_would_have_cost_more() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let clock = Clock {
            model: vec![(at(0), at(100))],
            tools: vec![(at(50), at(120)), (at(60), at(90)), (at(200), at(210))],
        };
        let timing = clock.timing();
        let idle = Clock::default().timing();
        assert!(
            idle.tool_ms.is_sign_positive() && idle.model_ms.is_sign_positive(),
            "a client would show -0: {idle:?}"
        );
        let near = |a: f64, b: f64| (a - b).abs() < 0.01;
        assert!(near(timing.model_ms, 100.0) && near(timing.tool_ms, 110.0), "{timing:?}");
        assert!(near(timing.overlap_ms, 210.0 - 130.0), "{timing:?}");
    }
}
