//! `ropeway bench`: what it measures, what it compares, and that it needs nothing and leaves nothing.

use serde_json::{Value as Json, json};

use super::{Place, Ran};

/// Quick ones, so that a test of an unoptimised build does not take a minute.
const QUICK: [&str; 4] = ["--only", "rebase", "--only", "stage"];

fn bench(place: &Place, args: &[&str]) -> Ran {
    let mut all = vec!["bench", "--rounds", "5"];
    all.extend(args);
    let temporary = place.path("tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    // No proxy, no network: the address is nobody's.
    let env = [("TMPDIR", temporary.to_str().unwrap()), ("HTTPS_PROXY", "http://192.0.2.1:1")];
    place.run(&all, &env)
}

fn saved(place: &Place, change: impl Fn(&mut Json)) {
    let ran = bench(place, &[&QUICK[..], &["--save", "figures.json"]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let mut figures: Json =
        serde_json::from_str(&std::fs::read_to_string(place.path("figures.json")).unwrap()).unwrap();
    change(&mut figures);
    std::fs::write(place.path("figures.json"), figures.to_string()).unwrap();
}

fn times(figures: &mut Json, id: &str, factor: f64) {
    let rows = figures["rows"].as_array_mut().unwrap();
    let row = rows.iter_mut().find(|row| row["id"] == id).unwrap();
    for field in ["median", "q1", "q3"] {
        row[field] = json!(row[field].as_f64().unwrap() * factor);
    }
}

#[test]
fn every_measurement_runs_with_its_spread_and_leaves_nothing_behind() {
    let place = Place::new();
    let ran = place.run(&["bench", "--json", "--rounds", "5", "--only", "nothing"], &[]);
    let (_, ids) = ran.err.split_once("there are ").unwrap();
    let ids: Vec<&str> = ids.trim().split(", ").collect();
    for id in [
        "start",
        "keystroke-stdio",
        "keystroke-1mb",
        "keystroke-10mb",
        "keystroke-staged",
        "code-action",
        "prepare",
        "count",
        "decode-chat",
        "stage",
        "rebase",
        "read-remembered",
        "grep",
    ] {
        assert!(ids.contains(&id), "{id} is missing in {ids:?}");
    }
    // Those that take long without optimisation are left to whoever measures.
    let slow = ["count", "keystroke-10mb", "prepare"];
    let quick: Vec<&str> = ids.iter().filter(|id| !slow.contains(id)).flat_map(|id| ["--only", id]).collect();
    let ran = bench(&place, &[&["--json"], &quick[..]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let report: Json = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["schema"], &report["build"]), (&json!(1), &json!("debug")));
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), ids.len() - slow.len());
    for row in rows {
        let number = |field: &str| row[field].as_f64().unwrap();
        assert!(number("q1") > 0.0 && number("q1") <= number("median") && number("median") <= number("q3"), "{row}");
        assert_eq!(row["samples"], 5, "{row}");
    }
    let left: Vec<_> = std::fs::read_dir(place.path("tmp")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let home: Vec<_> = std::fs::read_dir(place.path("")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(home, ["tmp"]);
}

#[test]
fn a_regression_is_code_1_and_says_which_and_by_how_much() {
    let place = Place::new();
    saved(&place, |figures| times(figures, "rebase", 0.01));
    let compare = [&QUICK[..], &["--compare", "figures.json", "--max-regression", "900%"]].concat();
    let ran = bench(&place, &compare);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    let complaints: Vec<&str> = ran.err.lines().collect();
    assert_eq!(complaints.len(), 1, "{}", ran.err);
    assert!(complaints[0].starts_with("ropeway: regression: rebase of 100 edits over 1,000 (rebase) went from"));
    assert!(complaints[0].ends_with("allowed are 900.0%"), "{}", ran.err);
    assert!(ran.out.contains("REGRESSION"), "{}", ran.out);
    let ran = bench(&place, &[&compare[..], &["--json"]].concat());
    let report: Json = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["regressions"]), (Some(1), &json!(["rebase"])));
    let rebase = &report["rows"].as_array().unwrap().iter().find(|row| row["id"] == "rebase").unwrap();
    assert!(rebase["change"].as_f64().unwrap() > 9.0 && rebase["before"]["median"].is_number(), "{rebase}");
}

#[test]
fn what_became_better_or_stayed_within_the_spread_is_code_0() {
    let place = Place::new();
    saved(&place, |figures| {
        times(figures, "rebase", 100.0);
        // The quartiles of then reach over whatever is measured now.
        let rows = figures["rows"].as_array_mut().unwrap();
        let stage = rows.iter_mut().find(|row| row["id"] == "stage").unwrap();
        stage["median"] = json!(0.001);
        stage["q1"] = json!(0.001);
        stage["q3"] = json!(1e9);
        rows.push(
            json!({"id": "gone", "name": "gone", "unit": "ms", "median": 1.0, "q1": 1.0, "q3": 1.0, "samples": 5}),
        );
    });
    let ran = bench(&place, &[&QUICK[..], &["--compare", "figures.json"]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);
    assert!(ran.out.contains("better") && ran.out.contains("is not measured now"), "{}", ran.out);
}

#[test]
fn a_file_that_is_none_of_ours_is_refused_before_anything_is_measured() {
    let place = Place::new().file("bad.json", "{\"rows\": []}").file("large.json", &" ".repeat(2 << 20));
    for (file, words) in
        [("bad.json", "not written by"), ("absent.json", "cannot be compared"), ("large.json", "too large")]
    {
        let ran = place.run(&["bench", "--compare", file], &[]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{file}");
        assert!(ran.err.contains(words), "{file}: {}", ran.err);
    }
    for bad in ["-3%", "x", "", "NaN", "inf"] {
        let ran = place.run(&["bench", "--compare", "bad.json", &format!("--max-regression={bad}")], &[]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{bad}");
    }
    for bad in [&["bench", "--max-regression", "10%"][..], &["bench", "--rounds", "4"]] {
        assert_eq!(place.run(bad, &[]).code, Some(2), "{bad:?}");
    }
}
