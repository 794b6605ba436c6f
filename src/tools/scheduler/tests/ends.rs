//! The word to end, given at each moment at which it can be given.

use super::*;

/// A call that waits `waits` times before its result is there.
fn slow(effect: Effect, waits: usize, at_work: &Arc<AtomicUsize>) -> Planned {
    struct AtWork(Arc<AtomicUsize>);
    impl Drop for AtWork {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    at_work.fetch_add(1, Ordering::SeqCst);
    let here = AtWork(at_work.clone());
    Planned::future(effect, String::new(), move |cancel| {
        Box::pin(async move {
            let _here = here;
            for _ in 0..waits {
                cancel.check()?;
                tokio::task::yield_now().await;
            }
            Ok(output("done"))
        })
    })
}

/// How the word to end comes.
#[derive(Clone, Copy, Debug)]
enum Word {
    Given,
    TicketDropped,
    WholeRun,
}

#[test]
fn a_call_that_is_cancelled_at_any_await_is_answered_once_frees_its_place_and_leaves_the_others_alone() {
    for word in [Word::Given, Word::TicketDropped, Word::WholeRun] {
        for slots in [1, 3] {
            let mut ran_out = false;
            for polls in 0..200 {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
                ran_out = runtime.unwrap().block_on(cancel_after(word, slots, polls));
                if ran_out {
                    break;
                }
            }
            assert!(ran_out, "{word:?}, {slots} slots: the calls never end by themselves");
        }
    }
}

/// Cancels the middle one of three clashing calls, or all, after so many turns of the executor. Says whether they had
/// all ended before.
#[expect(clippy::disallowed_methods, reason = "the test waits for each of its tasks, or aborts it")]
async fn cancel_after(word: Word, slots: usize, polls: usize) -> bool {
    let (bench, scheduler, at_work) = (Bench::new(), Scheduler::new(slots), Arc::default());
    let one = Cancel::new();
    let submit = |cancel: &Cancel, waits| {
        let planned = slow(bench.writes("x"), waits, &at_work);
        scheduler.submit(Submission { cancel: cancel.clone(), ..bench.submission(planned) })
    };
    let first = tokio::spawn(submit(&bench.cancel, 4));
    let mut second = Some(tokio::spawn(submit(&one, 7)));
    let third = tokio::spawn(submit(&bench.cancel, 4));
    for _ in 0..polls {
        tokio::task::yield_now().await;
    }
    let ran_out = scheduler.counts().done == 3;
    match word {
        Word::Given => one.cancel(),
        Word::TicketDropped => second.take().unwrap().abort(),
        Word::WholeRun => {
            bench.cancel.cancel();
            one.cancel();
        }
    }
    let mut failed = 0;
    if let Some(second) = second {
        let second = second.await.unwrap();
        assert_eq!(second.result.is_err(), second.ended == Ended::Cancelled, "{second:?}");
        failed += usize::from(second.result.is_err());
    }
    for other in [first, third] {
        let other = other.await.unwrap();
        assert!(other.result.is_ok() || matches!(word, Word::WholeRun), "{other:?}");
        failed += usize::from(other.result.is_err());
    }
    // Whoever was told to end does so soon, and then all is free again for the next one.
    let next = scheduler
        .submit(Submission { cancel: Cancel::new(), ..bench.submission(slow(bench.writes("x"), 1, &at_work)) });
    assert_eq!(text(&next.await), "done");
    settle().await;
    let counts = scheduler.counts();
    assert_eq!((counts.waiting, counts.running, counts.done), (0, 0, 4), "{word:?} after {polls}");
    if !matches!(word, Word::TicketDropped) {
        assert_eq!(counts.failed, failed, "{word:?} after {polls}");
    }
    assert_eq!(at_work.load(Ordering::SeqCst), 0, "the work of a call outlives it");
    assert!(scheduler.0.queue().is_empty(slots), "{word:?} after {polls}: a place was not given back");
    ran_out
}

#[tokio::test]
async fn a_call_that_is_given_up_before_it_could_begin_lets_those_behind_it_go_on() {
    for slots in [1, 3] {
        let (bench, scheduler, at_work) = (Bench::new(), Scheduler::new(slots), Arc::default());
        let shut = Submission {
            gate: Some(Gate::new()),
            cancel: Cancel::new(),
            ..bench.submission(slow(bench.writes("x"), 1, &at_work))
        };
        let shut = scheduler.submit(shut);
        let behind = scheduler.submit(bench.submission(slow(bench.reads("x"), 1, &at_work)));
        settle().await;
        assert_eq!(scheduler.counts().waiting, 2);
        // Nothing runs that would make room when it ends.
        drop(shut);
        assert_eq!(text(&behind.await), "done");
        assert!(scheduler.0.queue().is_empty(slots));
    }
}
