//! Each answer, and none.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;

use super::*;
use crate::host::{ApplyReply, Finding, HostAbilities, Proposal, RunEvent};
use crate::paths::{Root, Roots};
use crate::tools::command::Line;

/// A user who gives these answers, one after the other; then none, ever.
#[derive(Default)]
struct User {
    answers: Mutex<VecDeque<Option<&'static str>>>,
    asked: Mutex<Vec<Question>>,
    told: AtomicUsize,
}

impl User {
    fn with(answers: &[Option<&'static str>]) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.iter().copied().collect()), ..Self::default() })
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Host for User {
    fn abilities(&self) -> HostAbilities {
        HostAbilities::default()
    }

    fn apply(&self, _: Proposal) -> BoxFuture<'_, ApplyReply> {
        Box::pin(async { ApplyReply::Silent })
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Option<usize>> {
        let answer = self.answers.lock().unwrap().pop_front();
        let at = answer.map(|word| word.and_then(|word| question.choices.iter().position(|choice| *choice == word)));
        self.asked.lock().unwrap().push(question);
        match at {
            Some(at) => Box::pin(async move { at }),
            None => Box::pin(std::future::pending()),
        }
    }

    fn notify(&self, _: Notice, _: String) {
        self.told.fetch_add(1, Ordering::Relaxed);
    }

    fn show_answer(&self, _: &RunId, _: &str, _: &str) {}
    fn progress_begin(&self, _: &RunId, _: &str) {}
    fn progress_report(&self, _: &RunId, _: &str) {}
    fn progress_end(&self, _: &RunId, _: &str) {}
    fn event(&self, _: RunEvent) {}
    fn status_changed(&self) {}
    fn publish(&self, _: Option<PathBuf>, _: Vec<Finding>) {}
}

struct Desk {
    approvals: Approvals,
    user: Arc<User>,
    dir: tempfile::TempDir,
}

impl Desk {
    fn with(answers: &[Option<&'static str>]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut desk = Self { approvals: Approvals::default(), user: User::with(answers), dir };
        desk.restart();
        desk
    }

    /// Another server of the same user.
    fn restart(&mut self) {
        let env: EnvSnapshot = [("ROPEWAY_STATE_DIR", self.dir.path())].into_iter().collect();
        self.approvals = Approvals::new(&env);
    }

    async fn ask(&self, run: &str, key: &str, good: Good) -> Answer {
        let run = RunId::from(run);
        let events = Events::new(run.clone(), self.user.clone());
        let matter = Matter { message: "Really?".into(), key: key.into(), good };
        self.approvals.ask(&*self.user, &events, &run, matter).await
    }
}

fn lasting(line: &str) -> Good {
    let folder = tempfile::tempdir().unwrap();
    let mut roots = Roots::new(vec![Root::open("root", folder.path()).unwrap()]).tops();
    let mut found = Lasting::new(&Line::read(line).simple.unwrap(), &roots.remove(0)).unwrap();
    found.move_to("/somewhere");
    Good::Stored(found)
}

#[tokio::test]
async fn once_is_once_a_run_is_a_run_and_for_good_is_for_the_same_call_only() {
    let desk = Desk::with(&[Some(ONCE), Some(RUN), Some(RUN), Some(ALWAYS), Some(DENY)]);
    assert_eq!(desk.ask("a", "x", Good::Session).await, Answer::Yes);
    assert_eq!(desk.ask("a", "x", Good::Session).await, Answer::Yes);
    assert_eq!(desk.user.asked(), 2, "once is not remembered");
    assert_eq!(desk.ask("a", "x", Good::Session).await, Answer::Yes);
    assert_eq!(desk.user.asked(), 2);
    assert_eq!(desk.ask("b", "x", Good::Session).await, Answer::Yes);
    assert_eq!(desk.user.asked(), 3, "another run");
    desk.approvals.forget(&RunId::from("b"));
    assert_eq!(desk.ask("b", "x", Good::Session).await, Answer::Yes);
    assert_eq!(desk.ask("c", "x", Good::Session).await, Answer::Yes);
    assert_eq!(desk.user.asked(), 4, "for good");
    assert_eq!(desk.ask("c", "y", Good::Session).await, Answer::No);
}

#[tokio::test]
async fn a_no_and_a_dismissed_question_refuse_the_same_call_until_the_run_ends() {
    for answer in [Some(DENY), None] {
        let desk = Desk::with(&[answer, Some(ONCE)]);
        assert_eq!(desk.ask("a", "x", Good::Not).await, Answer::No);
        assert_eq!(desk.ask("a", "x", Good::Not).await, Answer::NoBefore);
        assert_eq!(desk.user.asked(), 1);
        assert_eq!(desk.ask("b", "x", Good::Not).await, Answer::Yes);
    }
}

#[tokio::test]
async fn always_is_offered_only_for_what_may_be_kept_and_an_answer_that_was_not_offered_is_a_no() {
    let desk = Desk::with(&[Some(ALWAYS)]);
    assert_eq!(desk.ask("a", "x", Good::Not).await, Answer::No);
    assert_eq!(desk.user.asked.lock().unwrap()[0].choices, [ONCE, RUN, DENY]);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_ever_answers_is_a_no_in_the_end() {
    let desk = Desk::with(&[]);
    let begun = tokio::time::Instant::now();
    assert_eq!(desk.ask("a", "x", Good::Session).await, Answer::No);
    assert_eq!(begun.elapsed(), PATIENCE);
}

#[tokio::test]
async fn an_answer_that_covers_the_calls_behind_it_spares_their_questions() {
    let desk = Desk::with(&[Some(RUN)]);
    let (a, b) = tokio::join!(desk.ask("a", "x", Good::Not), desk.ask("a", "x", Good::Not));
    assert_eq!((a, b, desk.user.asked()), (Answer::Yes, Answer::Yes, 1));
}

#[tokio::test]
async fn a_question_that_is_dropped_leaves_the_way_free_for_the_next() {
    let desk = Desk::with(&[]);
    let mut first = Box::pin(desk.ask("a", "x", Good::Not));
    assert!(futures_util::poll!(&mut first).is_pending() && desk.user.asked() == 1);
    drop(first);
    desk.user.answers.lock().unwrap().push_back(Some(ONCE));
    assert_eq!(desk.ask("a", "x", Good::Not).await, Answer::Yes);
}

#[tokio::test]
async fn what_is_allowed_for_good_is_known_to_the_next_server_until_it_is_taken_back() {
    let mut desk = Desk::with(&[Some(ALWAYS), Some(DENY)]);
    let good = || lasting("ls -l");
    assert_eq!(desk.ask("a", "x", good()).await, Answer::Yes);
    desk.restart();
    assert_eq!(desk.ask("b", "x", good()).await, Answer::Yes);
    assert_eq!(desk.user.asked(), 1);
    let file = Remembered::at(Some(desk.dir.path().to_owned()));
    let id = file.list().unwrap().remove(0).id;
    assert!(file.remove(&id).unwrap());
    assert_eq!(desk.ask("c", "x", good()).await, Answer::No, "also by the server that has known it");
}

#[tokio::test]
async fn a_file_that_cannot_be_understood_asks_and_says_so_and_is_left_alone() {
    let desk = Desk::with(&[Some(ALWAYS)]);
    let path = desk.dir.path().join("approvals.json");
    #[expect(clippy::disallowed_methods, reason = "a test breaks the file")]
    let (write, read) = (|text: &str| std::fs::write(&path, text).unwrap(), || std::fs::read_to_string(&path).unwrap());
    write("{\"version\": 1, \"allowed\": [");
    #[cfg(unix)]
    crate::tools::policy::remembered::close_to_others(&path);
    assert_eq!(desk.ask("a", "x", lasting("ls")).await, Answer::Yes);
    let message = desk.user.asked.lock().unwrap()[0].message.clone();
    assert!(message.contains("cannot be read") && message.contains("ropeway policy forget --all"), "{message}");
    assert_eq!(desk.user.told.load(Ordering::Relaxed), 1, "that it cannot be kept is said");
    assert_eq!(read(), "{\"version\": 1, \"allowed\": [");
    assert_eq!(desk.ask("b", "x", lasting("ls")).await, Answer::Yes);
    assert_eq!(desk.user.asked(), 1, "but it holds until the server ends");
}
