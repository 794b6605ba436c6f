//! The log file of the real program: lines of JSON, from two servers at once, and what is slow among them.
#![expect(clippy::disallowed_methods, reason = "the tests start the real program and look at its files")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::model::{Model, Turn};

struct Place {
    dir: tempfile::TempDir,
    model: Model,
}

impl Place {
    fn new(more: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), model: Model::start() };
        std::fs::create_dir(place.dir.path().join("work")).unwrap();
        let config = format!(
            "model = \"test/m\"\n[providers.test]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"\"\n{more}",
            place.model.openai_url()
        );
        std::fs::write(place.dir.path().join("config.toml"), config).unwrap();
        place
    }

    fn start(&self, arguments: &[&str], filter: Option<&str>) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
        command.args(["run", "hello", "--log-file"]).arg(self.log()).args(arguments).env_clear();
        command.env("HOME", self.dir.path()).env("ROPEWAY_CONFIG", self.dir.path().join("config.toml"));
        command.env("ROPEWAY_STATE_DIR", self.dir.path().join("state")).current_dir(self.dir.path().join("work"));
        command.envs(filter.map(|filter| ("ROPEWAY_LOG", filter)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn run(&self, arguments: &[&str], filter: Option<&str>) -> Output {
        self.start(arguments, filter).wait_with_output().unwrap()
    }

    fn log(&self) -> std::path::PathBuf {
        self.dir.path().join("log.json")
    }
}

/// The lines of a file, each of which has to be a whole record.
fn records(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn what_took_long_is_a_warning_with_its_cause_in_the_file_and_on_standard_error() {
    // Everything that is done in a run takes more than this.
    let place = Place::new("[monitor]\nslow_ms = 1\nmoderate_ms = 1\n");
    place.model.answer_with(|_| Some(Turn::text("Done.")));
    let output = place.run(&[], None);
    assert_eq!(output.status.code(), Some(0));
    let slow: Vec<Value> = records(&place.log()).into_iter().filter(|record| record["message"] == "slow").collect();
    let run = slow.iter().find(|record| record["op"] == "run").unwrap_or_else(|| panic!("no run in {slow:?}"));
    assert_eq!((&run["level"], &run["target"]), (&json!("WARN"), &json!("ropeway::metrics::span")), "{run}");
    assert!(run["timestamp"].is_string() && run["ms"].as_u64().unwrap() >= 1, "{run}");
    assert!(run["why"].as_str().unwrap().starts_with("model "), "{run}");
    assert!(slow.iter().all(|record| record["why"].as_str().is_some_and(|why| !why.is_empty())), "{slow:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("WARN") && said.contains("why=\"model "), "{said}");
    assert!(serde_json::from_str::<Value>(said.lines().next().unwrap()).is_err(), "lines for people: {said}");
}

#[test]
fn the_levels_are_those_of_the_flags_and_by_module_of_the_variable() {
    let place = Place::new("[llm]\nmax_retries = 1\n");
    let busy = || Turn::failure(503, &[("retry-after-ms", "1")], "");
    let told = |arguments: &[&str], filter| {
        place.model.script([busy(), Turn::text("Done.")]);
        assert_eq!(place.run(arguments, filter).status.code(), Some(0));
        let all = records(&place.log());
        std::fs::remove_file(place.log()).unwrap();
        all
    };
    assert!(told(&[], None).is_empty());
    assert!(told(&["-q"], None).is_empty());
    let most = |records: &[Value], target: &str| {
        records
            .iter()
            .any(|record| record["level"] == "DEBUG" && record["target"].as_str().unwrap().starts_with(target))
    };
    assert!(!most(&told(&["-v"], None), "ropeway"));
    let debugged = told(&["-vv"], None);
    assert!(most(&debugged, "ropeway::llm") && most(&debugged, "ropeway::metrics"));
    assert!(!debugged.iter().any(|record| record["target"].as_str().unwrap().starts_with("hyper")), "{debugged:?}");
    // An operation is a span, and what is told of its end stands in it.
    for op in ["gather", "prepare", "queue", "connect", "firstByte"] {
        let told = debugged.iter().find(|record| record["op"] == op).unwrap_or_else(|| panic!("no {op}: {debugged:?}"));
        assert_eq!(told["span"]["name"], op, "{told}");
    }
    let filtered = told(&[], Some("warn,ropeway::llm=debug"));
    assert!(most(&filtered, "ropeway::llm") && !most(&filtered, "ropeway::metrics"), "{filtered:?}");
}

#[test]
fn programs_that_share_a_file_tear_no_line() {
    let place = Place::new("");
    place.model.answer_with(|_| Some(Turn::text("Done.")));
    let all: Vec<Child> = (0..4).map(|_| place.start(&[], Some("trace"))).collect();
    for child in all {
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    }
    assert!(records(&place.log()).len() >= 16);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(place.log()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
