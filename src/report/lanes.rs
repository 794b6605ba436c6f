//! Where bars go: side by side in time, and under one another where they would cover each other.

/// A stretch of time that wants a place, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from: u64,
    /// Its end; not before its beginning.
    pub to: u64,
}

/// What each bar got.
#[derive(Debug, PartialEq, Eq)]
pub struct Packed {
    /// The lane of each span, from 0.
    pub lane: Vec<usize>,
    /// How far each span may be drawn with its label: to the next one of its lane, or to the end.
    pub room: Vec<u64>,
    /// How many lanes there are.
    pub lanes: usize,
}

/// What bars are laid out on.
#[derive(Clone, Copy, Debug)]
pub struct Canvas {
    /// The time that a label takes on the screen when everything is seen.
    pub label: u64,
    /// The time that the narrowest bar takes.
    pub least: u64,
    /// With so many lanes, labels still get lanes of their own.
    pub comfortable: usize,
    /// More lanes are not drawn; what does not fit shares one.
    pub most: usize,
    /// Where the picture ends.
    pub whole: u64,
}

/// Gives each span a lane in which nothing else is at its time, the topmost that is free.
///
/// Where the lanes are enough for it, no bar begins under the label of another; else labels get what is left, which
/// grows when one zooms in.
pub fn pack(spans: &[Span], canvas: Canvas) -> Packed {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&index| (spans[index].from, index));
    let mut reserve = canvas.label;
    loop {
        let (lane, lanes) = assign(spans, &order, reserve.max(canvas.least), canvas.most);
        if lanes <= canvas.comfortable || reserve == 0 {
            let room = room(spans, &order, &lane, lanes, canvas.whole);
            return Packed { lane, room, lanes };
        }
        reserve = if reserve > canvas.least.max(1).saturating_mul(4) { reserve / 4 } else { 0 };
    }
}

fn assign(spans: &[Span], order: &[usize], reserve: u64, most: usize) -> (Vec<usize>, usize) {
    let mut lane = vec![0; spans.len()];
    let mut free_at: Vec<u64> = Vec::new();
    for &index in order {
        let Span { from, to } = spans[index];
        let end = to.max(from.saturating_add(reserve));
        let place = match free_at.iter().position(|free| *free <= from) {
            Some(place) => place,
            None if free_at.len() < most => {
                free_at.push(0);
                free_at.len() - 1
            }
            None => (0..free_at.len()).min_by_key(|&place| free_at[place]).unwrap_or(0),
        };
        free_at[place] = end.max(free_at[place]);
        lane[index] = place;
    }
    (lane, free_at.len())
}

fn room(spans: &[Span], order: &[usize], lane: &[usize], lanes: usize, whole: u64) -> Vec<u64> {
    let mut room = vec![whole; spans.len()];
    let mut next = vec![whole; lanes];
    for &index in order.iter().rev() {
        room[index] = next[lane[index]].max(spans[index].to);
        next[lane[index]] = spans[index].from;
    }
    room
}

/// Times at which an axis of this length has its ticks: at most `most`, and round.
pub fn ticks(whole: u64, most: u64) -> Vec<u64> {
    const STEPS: [u64; 34] = [
        1,
        2,
        5,
        10,
        20,
        50,
        100,
        200,
        500,
        1_000,
        2_000,
        5_000,
        10_000,
        20_000,
        50_000,
        100_000,
        200_000,
        500_000,
        1_000_000,
        2_000_000,
        5_000_000,
        10_000_000,
        15_000_000,
        30_000_000,
        60_000_000,
        120_000_000,
        300_000_000,
        600_000_000,
        900_000_000,
        1_800_000_000,
        3_600_000_000,
        7_200_000_000,
        21_600_000_000,
        86_400_000_000,
    ];
    let step = STEPS.into_iter().find(|step| whole / step <= most).unwrap_or_else(|| (whole / most.max(1)).max(1));
    (0..=whole / step).map(|tick| tick * step).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pack(spans: &[Span], label: u64, least: u64, comfortable: usize, whole: u64) -> Packed {
        super::pack(spans, Canvas { label, least, comfortable, most: 48, whole })
    }

    fn spans(list: &[(u64, u64)]) -> Vec<Span> {
        list.iter().map(|&(from, to)| Span { from, to }).collect()
    }

    #[test]
    fn what_follows_shares_a_lane_and_what_overlaps_does_not() {
        let packed = pack(&spans(&[(0, 10), (5, 20), (10, 30), (20, 25)]), 0, 0, 8, 100);
        assert_eq!(packed.lane, [0, 1, 0, 1]);
        assert_eq!(packed.room, [10, 20, 100, 100]);
        assert_eq!(packed.lanes, 2);
    }

    #[test]
    fn labels_get_lanes_of_their_own_while_there_are_enough() {
        let three = spans(&[(0, 1), (10, 11), (20, 21)]);
        assert_eq!(pack(&three, 50, 1, 8, 100).lane, [0, 1, 2]);
        let many: Vec<Span> = (0..100).map(|at| Span { from: at * 10, to: at * 10 + 1 }).collect();
        let packed = pack(&many, 500, 3, 8, 1_000);
        assert!(packed.lanes <= 8, "{}", packed.lanes);
    }

    #[test]
    fn there_is_an_end_to_lanes() {
        let all: Vec<Span> = (0..100).map(|_| Span { from: 0, to: 10 }).collect();
        let packed = pack(&all, 0, 1, 8, 10);
        assert_eq!(packed.lanes, 48);
        assert!(packed.lane.iter().all(|lane| *lane < 48));
    }

    #[test]
    fn the_empty_timeline_has_no_lane() {
        assert_eq!(pack(&[], 5, 1, 8, 100), Packed { lane: vec![], room: vec![], lanes: 0 });
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(9_800_000, 8), (0..=4).map(|tick| tick * 2_000_000).collect::<Vec<_>>());
        assert_eq!(ticks(0, 8), [0]);
        for whole in [1, 999, 3_000_000, 1_800_000_000, 86_400_000_000, u64::MAX] {
            let ticks = ticks(whole, 8);
            assert!((1..=10).contains(&ticks.len()), "{whole}: {}", ticks.len());
            assert!(ticks.iter().all(|tick| *tick <= whole));
        }
    }

    proptest! {
        #[test]
        fn bars_of_one_lane_never_cover_each_other(
            list in proptest::collection::vec((0..1_000_u64, 0..60_u64), 0..40),
            label in 0..200_u64,
        ) {
            let spans: Vec<Span> = list.iter().map(|&(from, long)| Span { from, to: from + long }).collect();
            let packed = pack(&spans, label, 2, 8, 2_000);
            for (a, one) in spans.iter().enumerate() {
                prop_assert!(packed.lane[a] < packed.lanes.max(1));
                prop_assert!(packed.room[a] >= one.to && packed.room[a] <= 2_000);
                for (b, other) in spans.iter().enumerate().skip(a + 1) {
                    if packed.lane[a] == packed.lane[b] {
                        prop_assert!(one.to <= other.from || other.to <= one.from, "{one:?} and {other:?}");
                    }
                }
            }
        }
    }
}
