//! `ropeway doctor` against providers that are up, down, silent, strict, busy and hostile.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value as Json, json};

use super::Place;

/// A provider: gives its port and what it was sent. Who is given no answer waits until the test is over.
fn provider(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        let mut waiting: Vec<TcpStream> = Vec::new();
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|n| n > 0) {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let answer = answer(&request);
            if sender.send(request).is_err() {
                return;
            }
            match answer {
                Some(answer) => drop(connection.write_all(answer.as_bytes())),
                None => waiting.push(connection),
            }
        }
    });
    (port, requests)
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn names(models: &[&str]) -> String {
    let data: Vec<Json> = models.iter().map(|model| json!({"id": model, "object": "model"})).collect();
    http("200 OK", &json!({"object": "list", "data": data}).to_string())
}

const KEY: [(&str, &str); 1] = [("OPENAI_API_KEY", "sk-canary-canary")];

fn at(port: u16) -> Place {
    Place::new().user(&format!("model = \"openai/m\"\n[providers.openai]\nbase_url = \"http://127.0.0.1:{port}/v1\"\n"))
}

fn doctor(place: &Place, env: &[(&str, &str)]) -> (Option<i32>, Json) {
    let ran = place.run(&["doctor", "--json"], env);
    assert!(!format!("{}{}", ran.out, ran.err).contains("canary"), "{}", ran.out);
    (ran.code, serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err)))
}

fn named<'r>(report: &'r Json, name: &str) -> &'r Json {
    report["providers"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap()
}

#[test]
fn a_model_with_a_key_and_an_answering_provider_can_run() {
    for (answer, status, models) in
        [(names(&["other", "m"]), 200, json!(2)), (http("404 Not Found", ""), 404, Json::Null)]
    {
        let (port, requests) = provider(move |_| Some(answer.clone()));
        let place = at(port);
        let (code, report) = doctor(&place, &KEY);
        assert_eq!(code, Some(0), "{report:#}");
        assert_eq!((&report["model"]["id"], &report["model"]["canRun"]), (&json!("openai/m"), &json!(true)));
        let openai = named(&report, "openai");
        assert_eq!((&openai["key"], &openai["reachable"]), (&json!("present"), &json!(true)));
        assert_eq!((&openai["status"], &openai["models"]), (&json!(status), &models));
        assert!(openai["ms"].as_f64().unwrap() > 0.0);
        let request = requests.recv().unwrap();
        assert!(request.starts_with("GET /v1/models HTTP/1.1"), "{request}");
        let ran = place.run(&["doctor"], &KEY);
        assert_eq!(ran.code, Some(0));
        assert!(ran.out.contains("openai/m") && ran.out.contains("can run"), "{}", ran.out);
        assert!(!ran.out.contains('\u{1b}'), "no colours but on a terminal");
        assert!(!ran.out.contains("canary"));
    }
}

#[test]
fn a_model_that_cannot_run_is_code_1_with_the_reason_and_the_mend() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let closed = format!("model = \"openai/m\"\n[providers.openai]\nbase_url = \"http://127.0.0.1:{closed}/v1\"");
    for (user, env, words) in [
        ("", None, "set ANTHROPIC_API_KEY"),
        ("model = \"anthropic/m\"", None, "ANTHROPIC_API_KEY is not set"),
        ("model = \"anthropc/m\"", None, "did you mean `anthropic`?"),
        ("model = \"google/m\"", None, "GEMINI_API_KEY is not set"),
        ("model = ", Some(("ANTHROPIC_API_KEY", "canary")), "config.toml:1:9"),
        (&closed, Some(("OPENAI_API_KEY", "canary")), "cannot be reached"),
    ] {
        let (code, report) = doctor(&Place::new().user(user), env.as_slice());
        assert_eq!((code, &report["model"]["canRun"]), (Some(1), &false.into()), "{user}");
        let reason = report["model"]["reason"].as_str().unwrap();
        assert!(reason.contains(words), "{user}: {reason}");
        let first = &report["findings"][0];
        let told = match report["model"]["id"].as_str() {
            Some(model) => first["text"].as_str().unwrap().starts_with(model),
            None => first["text"] == reason,
        };
        assert!(told && first["state"] == "bad", "{first}");
        let asked = report["providers"].as_array().unwrap().iter().filter(|it| it.get("reachable").is_some());
        // Ollama needs no key, and is at this machine's own address.
        let asked = asked.filter(|it| it["name"] != "ollama");
        assert_eq!(asked.count(), usize::from(user == closed), "an address is called only if its model could run");
    }
}

#[test]
fn a_refused_key_names_the_variable_and_never_the_key() {
    let refusal =
        json!({"error": {"message": "Incorrect API key provided: sk-canary-canary", "code": "invalid_api_key"}});
    let (port, requests) = provider(move |_| Some(http("401 Unauthorized", &refusal.to_string())));
    let (code, report) = doctor(&at(port), &KEY);
    assert!(requests.recv().unwrap().contains("canary"), "the key was sent");
    assert_eq!((code, &named(&report, "openai")["status"]), (Some(1), &json!(401)));
    let reason = report["model"]["reason"].as_str().unwrap();
    assert!(reason.contains("Incorrect API key") && reason.contains("check the key in OPENAI_API_KEY"), "{reason}");
}

#[test]
fn a_model_that_the_provider_does_not_have_is_named_with_those_that_are_near() {
    let (port, _requests) = provider(|_| Some(names(&["mm", "far-away", "n", "x-1"])));
    let (code, report) = doctor(&at(port), &KEY);
    let reason = report["model"]["reason"].as_str().unwrap();
    assert_eq!(code, Some(1), "{report:#}");
    assert!(reason.contains("no model `m`") && reason.contains("such as `mm`, `n`"), "{reason}");
    // A server that imitates OpenAI may take any name, so there it is only doubted.
    let (port, _requests) = provider(|_| Some(names(&["mm"])));
    let own = format!(
        "model = \"own/m\"\n[providers.own]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\napi_key_env = \"\""
    );
    let (code, report) = doctor(&Place::new().user(&own), &[]);
    assert_eq!(code, Some(0), "{report:#}");
    assert!(report["model"]["doubt"].as_str().unwrap().contains("no model `m`"), "{report:#}");
    // One of Ollama's is fetched.
    let (port, _requests) = provider(|_| Some(http("200 OK", r#"{"models": [{"name": "qwen3:latest"}]}"#)));
    for (model, good) in [("qwen3", true), ("llama9", false)] {
        let user = format!("model = \"ollama/{model}\"\n[providers.ollama]\nbase_url = \"http://127.0.0.1:{port}\"");
        let (code, report) = doctor(&Place::new().user(&user), &[]);
        assert_eq!(code == Some(0), good, "{report:#}");
        assert_eq!(report.to_string().contains("ollama pull llama9"), !good);
    }
}

#[test]
fn without_a_model_only_this_machine_is_asked_and_what_is_found_there_is_offered() {
    let (port, requests) = provider(|_| Some(http("200 OK", r#"{"models": [{"name": "qwen3:latest"}]}"#)));
    let place = Place::new().user(&format!("[providers.ollama]\nbase_url = \"http://127.0.0.1:{port}\""));
    let (code, report) = doctor(&place, &[]);
    assert_eq!((code, &named(&report, "ollama")["reachable"]), (Some(1), &true.into()), "{report:#}");
    let mend = named(&report, "ollama")["mend"].as_str().unwrap();
    assert!(mend.contains("model = \"ollama/qwen3:latest\""), "{mend}");
    assert!(requests.recv().is_ok() && named(&report, "openai").get("reachable").is_none());
}

#[test]
fn providers_that_never_answer_are_asked_side_by_side_and_given_up() {
    // None is answered before the program has ended, so it ends by its own limit; were they asked one after the other,
    // the second would not be asked before the first was given up.
    let (one, first) = provider(|_| None);
    let (other, second) = provider(|_| None);
    let user = format!(
        "model = \"openai/m\"\n[providers.openai]\nbase_url = \"http://127.0.0.1:{one}/v1\"\n\
         [providers.anthropic]\nbase_url = \"http://127.0.0.1:{other}\""
    );
    let env = [KEY[0], ("ANTHROPIC_API_KEY", "sk-canary-canary")];
    let began = std::time::Instant::now();
    let (code, report) = doctor(&Place::new().user(&user), &env);
    assert_eq!(code, Some(1));
    assert!(first.try_recv().is_ok() && second.try_recv().is_ok(), "both were asked");
    let took: f64 = ["openai", "anthropic"].iter().map(|name| named(&report, name)["ms"].as_f64().unwrap()).sum();
    assert!(began.elapsed().as_secs_f64() * 1000.0 < took, "both were waited for at the same time");
    for name in ["openai", "anthropic"] {
        assert_eq!(named(&report, name)["error"], "no answer within 5 s", "{report:#}");
        assert_eq!(named(&report, name)["reachable"], false);
    }
    let told = report["findings"].as_array().unwrap().iter().find(|it| it["area"] == "Providers").unwrap();
    let time = told["text"].as_str().unwrap().split(" after ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(time.parse::<u32>().is_ok_and(|ms| ms >= 5000), "no tenths of so long a time: {told}");
    assert!(report["model"]["reason"].as_str().unwrap().contains("see whether the server there runs"));
}

#[test]
fn a_provider_that_stops_in_the_middle_is_given_up_as_well() {
    let (port, _requests) = provider(|_| Some("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"data\"".to_owned()));
    let (code, report) = doctor(&at(port), &KEY);
    assert_eq!((code, &named(&report, "openai")["reachable"]), (Some(1), &json!(false)), "{report:#}");
}

#[test]
fn a_busy_provider_is_a_doubt_and_no_verdict() {
    for status in ["503 Service Unavailable", "429 Too Many Requests", "500 Internal Server Error"] {
        let (port, _requests) = provider(move |_| Some(http(status, "{}")));
        let (code, report) = doctor(&at(port), &KEY);
        assert_eq!((code, &report["model"]["canRun"]), (Some(0), &json!(true)), "{report:#}");
        assert!(report["model"]["doubt"].as_str().unwrap().contains("just now"), "{report:#}");
        assert_eq!(report["findings"].as_array().unwrap().iter().filter(|it| it["state"] == "bad").count(), 1);
    }
}

#[test]
fn what_a_server_says_cannot_drive_the_terminal_or_pass_for_our_own_lines() {
    let hostile = "no\u{1b}]52;c;aGk=\u{7}\u{202e}\r\n  ok  openai/m can run\u{9b}31m";
    let refusal = json!({"error": {"message": hostile}}).to_string();
    let model = "m\u{1b}[2J\n  ok  forged";
    for answer in [http("401 Unauthorized", &refusal), names(&[model]), http("401 Unauthorized", hostile)] {
        let (port, _requests) = provider(move |_| Some(answer.clone()));
        let ran = at(port).run(&["doctor"], &KEY);
        assert_eq!(ran.code, Some(1), "{}", ran.out);
        assert!(ran.out.chars().all(|ch| ch == '\n' || !ch.is_control()), "{:?}", ran.out);
        assert!(!ran.out.contains('\u{202e}'));
        let forged =
            ran.out.lines().filter(|line| line.starts_with("  ok  openai/m") || line.starts_with("  ok  forged"));
        assert_eq!(forged.count(), 0, "{}", ran.out);
    }
    // A page of a gateway, a list of a hundred thousand, no list at all.
    let many: Vec<String> = (0..100_000).map(|n| format!("m{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for answer in [http("200 OK", "<html>sign in</html>"), names(&many), http("200 OK", "")] {
        let (port, _requests) = provider(move |_| Some(answer.clone()));
        let ran = at(port).run(&["doctor"], &KEY);
        assert!(ran.code.is_some() && ran.out.len() < 20_000, "{}", ran.out);
    }
}

#[test]
fn the_files_in_effect_are_named_with_their_problems() {
    let place = Place::new().user("[agent]\nmax_steps = 0\n").file("ropeway.toml", "[llm]\nhttp2 = false\n");
    let (_, report) = doctor(&place, &[]);
    assert_eq!(report["files"][0]["errors"], 1);
    assert_eq!(report["files"][1]["warnings"], 1);
    assert!(report["files"][1]["path"].as_str().unwrap().ends_with("/ropeway.toml"));
    assert_eq!(report["problems"].as_array().unwrap().len(), 2);
}

#[test]
fn the_machine_is_told_of_state_recording_sandbox_watches_and_variables() {
    let place = Place::new().user("[recording]\nkeep_days = 7\ncompress = false\n");
    let (_, report) =
        doctor(&place, &[("ROPEWAY_MODLE", "x"), ("ROPEWAY_MAX_PARALLEL", "3"), ("HTTPS_PROXY", "canary")]);
    assert_eq!((&report["state"]["present"], &report["state"]["writable"]), (&json!(false), &json!(true)));
    let expected = json!({"enabled": true, "compress": false, "keepDays": 7, "inBackground": true});
    assert_eq!(report["recording"], expected);
    assert!(["none", "partial", "full"].iter().any(|level| report["sandbox"]["level"] == *level));
    assert!(report["watching"]["supported"].is_boolean());
    let variables = report["environment"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["HTTPS_PROXY", "ROPEWAY_MAX_PARALLEL", "ROPEWAY_MODLE"]);
    assert_eq!(variables[2]["problem"], "not known; did you mean ROPEWAY_MODEL?");

    let state = place.path("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("one"), "12345").unwrap();
    let (_, report) = doctor(&place, &[("ROPEWAY_STATE_DIR", state.to_str().unwrap())]);
    assert_eq!((&report["state"]["bytes"], &report["state"]["files"]), (&json!(5), &json!(1)));
    let (_, report) = doctor(&place, &[("ROPEWAY_STATE_DIR", state.join("one").to_str().unwrap())]);
    let bad = report["findings"].as_array().unwrap().iter().find(|it| it["area"] == "State").unwrap();
    assert_eq!(bad["state"], "bad");
    assert!(bad["text"].as_str().unwrap().contains("no directory") && bad["mend"].is_string(), "{bad}");
}

#[test]
fn the_form_for_machines_keeps_its_fields() {
    let (_, report) = doctor(&Place::new(), &[]);
    let keys = |value: &Json| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(report["schema"], 1);
    let expected = [
        "build",
        "environment",
        "executable",
        "files",
        "findings",
        "grammars",
        "leftOut",
        "model",
        "platform",
        "problems",
        "protocols",
        "providers",
        "recording",
        "sandbox",
        "schema",
        "state",
        "version",
        "watching",
    ];
    assert_eq!(keys(&report), expected);
    for finding in report["findings"].as_array().unwrap() {
        assert!(["ok", "note", "bad"].iter().any(|state| finding["state"] == *state), "{finding}");
        assert!(finding["text"].is_string() && finding["area"].is_string());
    }
    // The help says which fields there are.
    let help = Place::new().run(&["doctor", "--help"], &[]).out;
    for field in expected {
        assert!(help.contains(field), "{field} is missing in {help}");
    }
}
