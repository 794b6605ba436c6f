//! Sums over a story: tokens, money, and how much went on at the same time.

use super::story::{Request, Story, Tokens};

/// Sums over a story, each computed once.
#[derive(Debug, Default, PartialEq)]
pub struct Sums {
    /// Tokens of all model calls.
    pub tokens: Tokens,
    /// US dollars of those whose price is known, if any is.
    pub cost: Option<f64>,
    /// Not every model call has a known price.
    pub cost_unknown: bool,
    /// The most calls at work at a time.
    pub peak: usize,
    /// Calls that had ended before the response that made them had.
    pub early: usize,
    /// Results that were remembered.
    pub cached: usize,
    /// Calls that failed.
    pub failed: usize,
    /// Times to the first token, sorted.
    pub first_tokens: Vec<u64>,
}

impl Story {
    /// The sums.
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for request in &self.requests {
            if let Some(tokens) = request.tokens {
                let all = &mut sums.tokens;
                all.input = all.input.saturating_add(tokens.input);
                all.cached = all.cached.saturating_add(tokens.cached);
                all.output = all.output.saturating_add(tokens.output);
                all.reasoning = all.reasoning.saturating_add(tokens.reasoning);
            }
            match request.cost {
                Some(cost) if cost.is_finite() => *sums.cost.get_or_insert(0.0) += cost,
                _ => sums.cost_unknown |= request.tokens.is_some(),
            }
            sums.first_tokens.extend(request.first_token.map(|first| first.saturating_sub(request.sent)));
        }
        sums.first_tokens.sort_unstable();
        sums.peak = self.peak();
        for call in &self.calls {
            sums.cached += usize::from(call.cached);
            sums.failed += usize::from(call.failed);
            let spoke = self.requests.iter().find(|request| request.step == call.batch && !request.summary);
            let until = spoke.and_then(|request| request.ended);
            sums.early += usize::from(call.ended.zip(until).is_some_and(|(ended, until)| ended <= until));
        }
        sums
    }

    /// The most calls that ran at a time.
    fn peak(&self) -> usize {
        let ran = self.calls.iter().filter_map(|call| Some((call.started?, call.end(self.end))));
        let mut moments: Vec<(u64, i32)> =
            ran.flat_map(|(from, to)| [(from, 1), (to.max(from.saturating_add(1)), -1)]).collect();
        moments.sort_unstable();
        let (mut now, mut most) = (0_i32, 0_i32);
        for (_, change) in moments {
            now += change;
            most = most.max(now);
        }
        most.unsigned_abs() as usize
    }

    /// The time that one step won by running its calls while the model spoke and beside one another: what one after
    /// another would have cost more.
    pub fn overlap(&self, request: &Request) -> u64 {
        let mut spans = vec![(request.sent, request.end(self.end))];
        for (_, call) in self.batch(request.step) {
            if let Some(started) = call.started {
                spans.push((started, call.end(self.end)));
            }
        }
        spans.sort_unstable();
        let (mut sum, mut busy, mut until) = (0_u64, 0_u64, 0_u64);
        for (from, to) in spans {
            sum = sum.saturating_add(to.saturating_sub(from));
            busy = busy.saturating_add(to.saturating_sub(from.max(until)));
            until = until.max(to);
        }
        sum.saturating_sub(busy)
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::Call;
    use super::*;

    fn call(batch: u32, started: u64, ended: u64) -> Call {
        Call { batch, asked: started, started: Some(started), ended: Some(ended), ..Call::default() }
    }

    #[test]
    fn the_overlap_of_a_step_is_what_one_after_another_would_have_cost_more() {
        let request = Request { step: 1, sent: 0, ended: Some(100), ..Request::default() };
        let story = Story {
            calls: vec![call(1, 50, 120), call(1, 60, 90), call(2, 0, 100), call(1, 200, 210)],
            end: 300,
            ..Story::default()
        };
        assert_eq!(story.overlap(&request), 210 - 130);
    }

    #[test]
    fn what_ended_before_its_response_did_was_early() {
        let story = Story {
            requests: vec![
                Request {
                    step: 1,
                    ended: Some(100),
                    cost: Some(0.5),
                    tokens: Some(Tokens::default()),
                    ..Request::default()
                },
                Request {
                    step: 2,
                    sent: 100,
                    tokens: Some(Tokens { input: u64::MAX, ..Tokens::default() }),
                    ..Request::default()
                },
            ],
            calls: vec![call(1, 10, 20), call(1, 15, 110), call(1, 20, 20), call(2, 120, 130)],
            end: 200,
            ..Story::default()
        };
        let sums = story.sums();
        assert_eq!((sums.early, sums.peak), (2, 2));
        assert_eq!((sums.cost, sums.cost_unknown), (Some(0.5), true));
        assert_eq!(Story::default().sums(), Sums::default());
    }
}
