//! Days, threads and the file.
#![expect(clippy::disallowed_methods, reason = "a test looks at the file that was written")]

use std::time::Duration;

use super::*;

fn request(input: u64, output: u64) -> RunUsage {
    let mut sum = RunUsage::default();
    sum.add(&Usage { input_tokens: input, output_tokens: output, ..Usage::default() }, Some(0.5));
    sum
}

fn reported() -> Reported {
    Reported { origin: "p/m".into(), messages: 1, usage: Usage::default() }
}

#[test]
fn a_day_is_named_by_its_date() {
    let of = |seconds: u64| day(UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(of(0), "1970-01-01");
    assert_eq!(of(951_782_400), "2000-02-29");
    assert_eq!(of(1_764_547_199), "2025-11-30");
    assert_eq!(of(1_764_547_200), "2025-12-01");
    assert_eq!(of(4_102_444_800), "2100-01-01");
}

#[test]
fn servers_of_one_user_add_to_the_same_day() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("state");
    let (one, other) = (Ledger::new(Some(dir.clone())), Ledger::new(Some(dir.clone())));
    let thread = ThreadId::from("t-1");
    one.add(&thread, &request(100, 10), reported());
    assert_eq!(one.today().input_tokens, 100);
    other.add(&thread, &request(7, 3), reported());
    other.add(&thread, &request(1, 1), reported());
    assert_eq!((other.today().input_tokens, one.today().output_tokens), (108, 14));
    assert_eq!(one.today().cost_usd, Some(1.5));
    assert_eq!(one.thread(&thread).unwrap().spent.input_tokens, 100);
    assert_eq!(other.last_request(), Some(request(1, 1)));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join(NAME))), (0o700, 0o600));
    }
    let mut names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["spending.json", "spending.lock"]);
}

#[test]
fn a_file_that_is_no_book_is_replaced_and_one_too_large_is_not_read() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(NAME);
    for bad in ["", "[]", "{\"days\":{\"x\":{\"inputTokens\":-1}}}", &" ".repeat(LARGEST as usize + 10), "\u{0}\u{1}"] {
        std::fs::write(&file, bad).unwrap();
        let ledger = Ledger::new(Some(home.path().into()));
        ledger.add(&ThreadId::from("t"), &request(5, 5), reported());
        assert_eq!(ledger.today().input_tokens, 5, "{:?}", &bad[..bad.len().min(40)]);
        assert!(std::fs::metadata(&file).unwrap().len() < 200);
    }
}

#[test]
fn no_more_days_and_threads_are_kept_than_said() {
    let home = tempfile::tempdir().unwrap();
    let days = (1..=200).map(|nth| (format!("20{:02}-01-{:02}", nth / 28, nth % 28 + 1), RunUsage::default()));
    std::fs::write(home.path().join(NAME), serde_json::to_vec(&Book { days: days.collect() }).unwrap()).unwrap();
    let ledger = Ledger::new(Some(home.path().into()));
    for nth in 0..150 {
        ledger.add(&ThreadId::from(&*format!("t{nth}")), &request(1, 0), reported());
    }
    assert_eq!(ledger.today().input_tokens, 150);
    let book = read(&home.path().join(NAME)).unwrap();
    assert_eq!(book.days.len(), DAYS);
    assert!(ledger.thread(&ThreadId::from("t0")).is_none() && ledger.thread(&ThreadId::from("t149")).is_some());
}

#[test]
fn what_cannot_be_written_is_still_known() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    for dir in [None, Some(file.join("below"))] {
        let ledger = Ledger::new(dir);
        ledger.add(&ThreadId::from("t"), &request(9, 0), reported());
        assert_eq!(ledger.today().input_tokens, 9);
    }
}

#[test]
fn the_requests_of_a_run_are_written_together_and_all_of_them_by_its_end() {
    let home = tempfile::tempdir().unwrap();
    let (file, thread) = (home.path().join(NAME), ThreadId::from("t"));
    let written = || read(&file).unwrap().days.values().map(|sum| sum.input_tokens).sum::<u64>();
    let ledger = Ledger::new(Some(home.path().into()));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    first.block_on(async {
        ledger.add(&thread, &request(1, 0), reported());
        ledger.flush();
    });
    // Waits for what a thread is at.
    drop(first);
    assert_eq!(written(), 1);
    let second = runtime();
    second.block_on(async {
        for _ in 0..100 {
            ledger.add(&thread, &request(1, 0), reported());
            tokio::task::yield_now().await;
        }
        let before = written();
        let recent = ledger.state().wrote.is_some_and(|wrote| wrote.elapsed() < EVERY);
        assert!(before == 1 || !recent, "{before} written within a second");
        ledger.flush();
    });
    drop(second);
    assert_eq!(written(), 101);
}
