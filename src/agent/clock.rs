//! Where the time of a run goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::outcome::Timing;

type Interval = (Instant, Instant);

/// How long after the end of one call another may begin that has waited for it.
const HAND_OVER: Duration = Duration::from_millis(20);

/// Who was busy when: model and tools as intervals, so that the time won by overlapping them is a sum and no guess.
#[derive(Debug, Default)]
pub(super) struct Clock {
    model: Vec<Interval>,
    tools: Vec<Interval>,
    names: Vec<Arc<str>>,
    /// Where the intervals of the lap begin.
    lap: (usize, usize),
}

/// What a call of the model and its tools took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lap {
    /// While the answer was awaited or arrived.
    pub model: Duration,
    /// Running time of the tools, added up.
    pub tools: Duration,
    /// The most tools at a time.
    pub parallel: u32,
    /// While both the answer arrived and tools ran.
    pub won_by_stream: Duration,
    /// Running time of the tools less the time in which any ran.
    pub won_by_parallel: Duration,
}

impl Clock {
    /// A tool ran from then on for so long.
    pub(super) fn tool(&mut self, name: &Arc<str>, from: Instant, ran: Duration) {
        self.tools.push((from, from + ran));
        self.names.push(name.clone());
    }

    /// A model response was awaited and arrived from then until now.
    pub(super) fn model(&mut self, began: Instant) {
        self.model.push((began, Instant::now()));
    }

    /// What ended last before something began that had waited so long: most likely it waited for that.
    pub(super) fn before(&self, began: Instant, waited: Duration) -> Option<&str> {
        let asked = began.checked_sub(waited)?;
        let fits = |end: Instant| end >= asked && end <= began + HAND_OVER;
        let tools = self.tools.iter().zip(&self.names).map(|((_, end), name)| (*end, &**name));
        let model = self.model.iter().map(|(_, end)| (*end, "the model"));
        tools.chain(model).filter(|(end, _)| fits(*end)).max_by_key(|(end, _)| *end).map(|(_, name)| name)
    }

    /// What happened since the last lap; the next begins.
    pub(super) fn lap(&mut self) -> Lap {
        let (model, tools) = (&self.model[self.lap.0..], &self.tools[self.lap.1..]);
        let (spoke, worked) = (union(model), union(tools));
        let both = union(&model.iter().chain(tools).copied().collect::<Vec<_>>());
        let lap = Lap {
            model: sum(model),
            tools: sum(tools),
            parallel: most_at_once(tools),
            won_by_stream: (spoke + worked).saturating_sub(both),
            won_by_parallel: sum(tools).saturating_sub(worked),
        };
        self.lap = (self.model.len(), self.tools.len());
        lap
    }

    pub(super) fn timing(&self) -> Timing {
        let (model, tools) = (sum(&self.model), sum(&self.tools));
        let busy = union(&self.model.iter().chain(&self.tools).copied().collect::<Vec<_>>());
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let overlap = (model + tools).saturating_sub(busy);
        Timing { total_ms: 0.0, model_ms: ms(model), tool_ms: ms(tools), overlap_ms: ms(overlap) }
    }
}

fn sum(intervals: &[Interval]) -> Duration {
    intervals.iter().map(|(from, to)| *to - *from).sum()
}

/// The time in which any of them went on.
fn union(intervals: &[Interval]) -> Duration {
    let mut sorted = intervals.to_vec();
    sorted.sort_unstable();
    let (mut busy, mut end) = (Duration::ZERO, None::<Instant>);
    for (from, to) in sorted {
        let from = end.map_or(from, |end| end.max(from));
        if to > from {
            busy += to - from;
            end = Some(to);
        }
    }
    busy
}

/// How many of them went on at a time, at most.
fn most_at_once(intervals: &[Interval]) -> u32 {
    // An end stands before a beginning at the same moment: one after the other is not beside each other.
    let mut edges: Vec<(Instant, i32)> = intervals.iter().flat_map(|(from, to)| [(*from, 1), (*to, -1)]).collect();
    edges.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, step) in edges {
        now += step;
        most = most.max(now);
    }
    most.unsigned_abs().max(u32::from(!intervals.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(start: Instant, model: &[(u64, u64)], tools: &[(u64, u64)]) -> Clock {
        let at = |ms: u64| start + Duration::from_millis(ms);
        let model = model.iter().map(|(from, to)| (at(*from), at(*to))).collect();
        let mut clock = Clock { model, ..Clock::default() };
        for (from, to) in tools {
            clock.tool(&Arc::from(format!("tool at {from}")), at(*from), Duration::from_millis(to - from));
        }
        clock
    }

    #[test]
    fn the_overlap_is_what_one_after_another_would_have_cost_more() {
        let clock = clock(Instant::now(), &[(0, 100)], &[(50, 120), (60, 90), (200, 210)]);
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

    #[test]
    fn a_lap_says_what_the_stream_and_what_working_side_by_side_has_won() {
        let mut clock = clock(Instant::now(), &[(0, 100)], &[(50, 120), (60, 90), (120, 130)]);
        let ms = Duration::from_millis;
        let lap = clock.lap();
        let wanted =
            Lap { model: ms(100), tools: ms(110), parallel: 2, won_by_stream: ms(50), won_by_parallel: ms(30) };
        assert_eq!(lap, wanted);
        let overlap = clock.timing().overlap_ms;
        assert!((overlap - 80.0).abs() < 0.01, "the two are the whole overlap: {overlap}");
        assert_eq!(clock.lap(), Lap::default());
    }

    #[test]
    fn what_something_waited_for_is_what_ended_as_it_began() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let clock = clock(start, &[(0, 100)], &[(10, 5000), (20, 300)]);
        assert_eq!(clock.before(at(5001), Duration::from_millis(4800)), Some("tool at 10"));
        assert_eq!(clock.before(at(101), Duration::from_millis(60)), Some("the model"));
        assert_eq!(clock.before(at(9000), Duration::from_millis(60)), None);
    }
}
