//! Malformed files: each gets a precise problem, none ends anything.

use ropeway::config::Severity;

use super::World;

/// A user's file, the place of its only problem, and words of it.
pub(super) const MALFORMED: &[(&str, &str, &str)] = &[
    // Not TOML.
    ("model = ", "1:9", "not valid TOML"),
    ("model \"x\"", "1:7", "not valid TOML"),
    ("[agent", "1:7", "not valid TOML"),
    ("[agent]\nmax_steps = 0x", "2:13", "not an integer without digits"),
    ("model = \"a", "1:11", "not valid TOML"),
    ("model = \"a\\q\"", "1:12", "not valid TOML"),
    ("[agent]\nmax_steps = 3\nmax_steps = 4", "3:1", "duplicate key"),
    ("[agent]\n[agent]", "2:2", "duplicate key"),
    ("agent.max_steps = 1\n[agent]", "2:2", "duplicate key"),
    ("model = \"a/b\"\u{0}", "1:14", "not valid TOML"),
    ("model = 'a\u{7}b'", "1:11", "not valid TOML"),
    // Keys.
    ("modle = \"a/b\"", "1:1", "unknown key `modle`; did you mean `model`?"),
    ("Model = \"a/b\"", "1:1", "did you mean `model`?"),
    ("[agents]\nx = 1", "1:2", "did you mean `agent`?"),
    ("[agent]\nmax-steps = 3", "2:1", "unknown key `max-steps` in `agent`; did you mean `max_steps`?"),
    ("[agent]\n  maxSteps = 3", "2:3", "did you mean `max_steps`?"),
    ("[agent]\nhttp2 = true", "2:1", "did you mean `llm.http2`?"),
    ("[edits]\nzzz = 1", "2:1", "unknown key `zzz` in `edits`; valid here: mode"),
    ("é = 1\n", "", "not valid TOML"),
    ("\"é\\n\" = 1", "1:1", "unknown key `é\\n`"),
    (
        "tools = { grep = { max_file = 1 } }",
        "1:20",
        "unknown key `max_file` in `tools.grep`; did you mean `max_files`?",
    ),
    // Types.
    ("model = 3", "1:9", "`model` must be a string PROVIDER/MODEL, not 3"),
    ("agent = 3", "1:9", "`agent` must be a table, not 3"),
    ("[[agent]]", "1:1", "`agent` must be a table, not a list"),
    ("[agent]\nmax_steps = \"40\"", "2:13", "must be a whole number from 1 to 10000, not \"40\""),
    ("[agent]\nmax_steps = 4.0", "2:13", "must be a whole number from 1 to 10000, not 4"),
    ("[agent]\nprefetch = 1", "2:12", "`prefetch` must be true or false, not 1"),
    ("[agent]\nprefetch = 1979-05-27", "2:12", "must be true or false, not a date"),
    ("[context]\ncompact_at = \"0.8\"", "2:14", "must be a number from 0.05 to 1, not \"0.8\""),
    ("[tools]\ndisabled = \"grep\"", "2:12", "must be a list of strings, not \"grep\""),
    ("[tools]\ndisabled = [\"grep\", 3]", "2:21", "must be a string, not 3"),
    ("[tools]\ngrep = 3", "2:8", "`grep` must be a table, not 3"),
    ("providers = []", "1:13", "`providers` must be a table, not a list"),
    ("[providers]\nx = 3", "2:5", "`x` must be a table, not 3"),
    ("actions = {}", "1:11", "`actions` must be a list of tables, not a table"),
    ("actions = [3]", "1:12", "must be a table, not 3"),
    // Values.
    ("model = \"gpt-6\"", "1:9", "\"gpt-6\" is not a model; write PROVIDER/MODEL"),
    (
        "profile = \"prod\"",
        "1:11",
        "`profile` must be one of \"default\", \"development\", \"production\", not \"prod\"",
    ),
    ("profile = \"produktion\"", "1:11", "did you mean \"production\"?"),
    ("[edits]\nmode = \"aply\"", "2:8", "did you mean \"apply\"?"),
    ("[agent]\nmax_steps = 0", "2:13", "must be a whole number from 1 to 10000, not 0"),
    ("[agent]\nmax_steps = -1", "2:13", "not -1"),
    ("[agent]\nmax_steps = 99999999999999999999", "2:13", "not an integer beyond 64 bits"),
    ("[agent]\nmax_cost_usd = nan", "2:16", "must be a number from 0 to 10000, not NaN"),
    ("[agent]\nmax_cost_usd = -inf", "2:16", "not -inf"),
    ("[recording]\ndir = \"rel/ative\"", "2:7", "must be an absolute path"),
    ("[recording]\ndir = \"/a\\u0000b\"", "2:7", "free of NUL"),
    ("[models.gpt]\ncontext_window = 5000", "1:9", "quote it: [models.\"anthropic/claude-sonnet-5-5\"]"),
    ("[models.\"a/b\"]\ncontext_window = 10", "2:18", "must be a whole number from 1024"),
    ("[models.\"a/b\"]\nprice = { input = 1 }", "2:9", "`price` needs `input` and `output`"),
    ("[models.\"a/b\"]\nprice = { input = -1, output = 1 }", "2:19", "must be a number from 0"),
    ("[models.\"a/b\"]\nfallback = [\"a/c\", \"d\"]", "2:20", "\"d\" is not a model"),
    // Providers.
    ("[providers.\"a b\"]\nkind = \"openai\"", "1:12", "a provider's name is letters"),
    ("[providers.openai]\nkind = \"opnai\"", "2:8", "did you mean \"openai\"?"),
    ("[providers.openai]\nbase_url = \"api.example\"", "2:12", "is not an address"),
    ("[providers.openai]\nbase_url = \"ftp://api.example\"", "2:12", "must begin with https://"),
    ("[providers.openai]\nbase_url = \"http://api.example\"", "2:12", "must be https:// unless it is on this machine"),
    ("[providers.openai]\nbase_url = \"https://u:canary@api.example\"", "2:12", "must not hold a user or password"),
    ("[providers.openai]\nbase_url = \"https://api.example/?k=canary\"", "2:12", "must not have a query"),
    (
        "[providers.openai]\napi_key_env = \"sk-proj-canary\"",
        "2:15",
        "takes the name of an environment variable, not the key itself",
    ),
    ("[providers.openai]\nheaders = { \"a b\" = \"x\" }", "2:13", "cannot be a header's name"),
    ("[providers.openai]\nheaders = { x = \"canary\\r\\nHost: evil\" }", "2:17", "needs a string of visible ASCII"),
    ("[providers.openai]\nheaders = { Content-Length = \"1\" }", "2:13", "is set by the client itself"),
    ("[providers.openai]\ntimeouts = { idle = 3 }", "2:14", "did you mean `idle_ms`?"),
    ("[providers.openai]\ntimeouts = { idle_ms = 0 }", "2:24", "must be a whole number from 1 to 3600000, not 0"),
    ("[providers.openai]\noptions = { since = 1979-05-27 }", "2:21", "a date cannot be sent"),
    ("[providers.openai]\nkey = \"canary\"", "2:1", "unknown key `key` in `providers.openai`"),
    ("[providers.corp]\nbase_url = \"https://c.example\"", "1:12", "needs `kind`"),
    ("[providers.corp]\nkind = \"openai\"", "1:12", "needs `base_url`"),
    (
        "model = \"crop/x\"\n[providers.corp]\nkind = \"openai\"\nbase_url = \"https://c.example\"",
        "1:9",
        "did you mean `corp`?",
    ),
    // Rules.
    ("[permissions]\nallow = [\"\"]", "2:10", "\"\" is not a rule; write TOOL or TOOL(PATTERN)"),
    ("[permissions]\ndeny = [\"grep\", \"read_file(x\"]", "2:17", "with a pattern and \")\" at the end"),
    ("[permissions]\ndeny = [\"read_file()\"]", "2:9", "with a pattern"),
    ("[permissions]\ndeny = [\"read_file([)\"]", "2:9", "is not a glob"),
    ("[permissions]\nask = [\"run command\"]", "2:8", "is not a rule"),
    // Actions.
    ("[[actions]]\nid = \"x\"\ntitle = \"X\"", "1:1", "an action needs `prompt`"),
    ("[[actions]]\nid = \"X y\"\ntitle = \"X\"\nprompt = \"p\"", "2:6", "lower-case letters, digits and `-`"),
    ("[[actions]]\nid = \"fix\"\ntitle = \"X\"\nprompt = \"p\"", "2:6", "`fix` is a built-in action"),
    ("[[actions]]\nid = \"x\"\ntitle = \"a\\nb\"\nprompt = \"p\"", "3:9", "must be one line of text"),
    ("[[actions]]\nid = \"x\"\ntitle = \"X\"\nprompt = \" \"", "4:10", "a text that says what to do"),
    (
        "[[actions]]\nid = \"x\"\ntitle = \"X\"\nprompt = \"p\"\nkind = \"source.fixAll.x\"",
        "5:8",
        "editors run `source.fixAll.x` on save",
    ),
    ("[[actions]]\nid = \"x\"\ntitle = \"X\"\nprompt = \"p\"\nkind = \"a..b\"", "5:8", "a code action kind"),
    (
        "[[actions]]\nid = \"x\"\ntitle = \"X\"\nprompt = \"p\"\n[[actions]]\nid = \"x\"\ntitle = \"X\"\nprompt = \"p\"",
        "5:1",
        "defined twice",
    ),
    (
        "[[actions]]\nid = \"x\"\ntitle = \"X\"\nprompt = \"Look at {selction}.\"",
        "4:19",
        "nothing is put in for `{selction}`; did you mean `{selection}`?",
    ),
    (
        "[[actions]]\nid = \"x\"\ntitle = \"X\"\nprompt = \"\"\"\nIn {file}:\n{zzz}\"\"\"",
        "6:1",
        "and `{{zzz}}` is the text itself",
    ),
    (
        "[[actions]]\nid = \"x\"\ntitle = \"X\"\nprompt = \"p\"\ntools = [\"grep\", \"reed_file\"]",
        "5:18",
        "no tool is named `reed_file`; did you mean `read_file`?",
    ),
    ("[[actions]]\nid = \"x\"\ntitle = \"X\"\nprompt = \"p\"\nmodel = \"gpt\"", "5:9", "\"gpt\" is not a model"),
];

#[test]
fn each_malformed_file_gets_one_problem_with_its_place() {
    let mut wrong = Vec::new();
    for (text, place, words) in MALFORMED {
        let world = World::new().user(text);
        let problems = world.told();
        let place = format!("config.toml:{place}");
        let good = problems.len() == 1 && problems[0].starts_with(&place) && problems[0].contains(words);
        let error = world.load().problems.iter().all(|problem| problem.severity == Severity::Error);
        if !good || !error || problems.iter().any(|problem| problem.contains("canary")) {
            wrong.push(format!("{text:?}\n  wanted {place} {words}\n  got {problems:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_name_in_a_list_that_there_is_none_of_is_told_where_it_stands_and_the_others_count() {
    let lists = "[tools]\ndisabled = [\"grpe\", \"glob\", \"teleport\"]\npreload = [\"outlin\", \"grep\"]\n\
                 [context]\ndisabled = [\"stale\", \"stael\", \"x\"]\n\
                 [permissions]\ndeny = [\"run_comand(rm)\", \"glob\"]\n";
    let expected = [
        "2:13: warning: no tool is named `grpe`; did you mean `grep`?",
        "2:29: warning: no tool is named `teleport`; there are `read_file`, ",
        "3:12: warning: no tool is named `outlin`; did you mean `outline`?",
        "5:22: warning: no pass is named `stael`; did you mean `stale`?",
        "5:31: warning: no pass is named `x`; there are `clean`, ",
        "7:10: warning: no tool is named `run_comand`; did you mean `run_command`?",
    ];
    let world = World::new().user(lists);
    let told = world.told();
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(&format!("config.toml:{expected}")), "{told}, not {expected}");
    }
    let config = world.config();
    let named = [&config.tools.disabled, &config.tools.preload, &config.context.disabled];
    assert_eq!(named.map(|names| names.join(" ")), ["glob", "grep", "stale"]);
    // Also where only some of these keys may be set.
    let project = World::new().project("[tools]\ndisabled = [\"grpe\", \"glob\"]");
    assert!(
        project.told()[0].starts_with("ropeway.toml:2:13: warning: no tool is named `grpe`"),
        "{:?}",
        project.told()
    );
    assert_eq!(project.config().tools.disabled, ["glob"]);
}

#[test]
fn all_problems_are_told_not_only_the_first() {
    let world = World::new().user("modle = 1\n[agent]\nmax_steps = 0\nprefetch = 2\n[edits]\nmode = 3\n[nope]\n");
    let problems = world.told();
    let places: Vec<_> = problems.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    assert_eq!(
        places,
        ["config.toml:1:1", "config.toml:3:13", "config.toml:4:12", "config.toml:6:8", "config.toml:7:2"],
        "{problems:#?}"
    );
    let world = World::new().user("a = \nb = 1\nc = = 2\n");
    assert!(world.load().problems.len() >= 2, "also of a text that is not TOML");
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_place() {
    let world = World::new().user(b"model = \"a/b\"\nprofile = \"\xFF\"");
    let problems = world.told();
    assert_eq!(problems, ["config.toml:2:12: error: not valid UTF-8 from here on; save the file as UTF-8"]);
    // A file of another encoding, as some editors write it.
    let utf16: Vec<u8> = "model = 1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [[&[0xFF, 0xFE][..], &utf16].concat(), utf16] {
        let world = World::new().user(bytes);
        assert!(!world.load().problems.is_empty());
    }
}

#[test]
fn a_byte_order_mark_does_no_harm() {
    let world = World::new().user("\u{FEFF}[agent]\nmax_steps = 3");
    assert_eq!(world.load().problems.len(), 0);
    assert_eq!(world.config().agent.max_steps, 3);
}

#[test]
fn a_file_of_ten_megabytes_is_refused() {
    for size in [1024 * 1024 + 1, 10 * 1024 * 1024] {
        let world = World::new().user("#".repeat(size));
        let problems = world.told();
        assert!(problems.len() == 1 && problems[0].contains("larger than 1 MiB"), "{problems:?}");
    }
}

#[test]
fn nesting_and_numbers_have_bounds() {
    let deep = |open: &str, close: &str| {
        let n = 20_000;
        format!("[providers.openai]\noptions = {{ x = {}1{} }}", open.repeat(n), close.repeat(n))
    };
    let keys = |key: &str| format!("{} = 1", vec![key; 50_000].join("."));
    let tables: String = (0..30_000).map(|n| format!("[t{n}]\n")).collect();
    let lines: String = (0..50_000).map(|n| format!("k{n} = = {n}\n")).collect();
    let rules = format!("[permissions]\ndeny = [{}]", "\"grep\",".repeat(5000));
    let actions = "[[actions]]\nid = \"a\"\ntitle = \"t\"\nprompt = \"p\"\n".repeat(2000);
    let one_line = format!("a = [{}]", "{ b = 1 },".repeat(50_000));
    for text in [deep("[", "]"), deep("{ x = ", "}"), keys("a"), tables, lines, rules, actions, one_line] {
        let world = World::new().user(&text).project(&text);
        let problems = world.load().problems;
        assert!(!problems.is_empty() && problems.len() <= 210, "{} problems of {:.40}", problems.len(), text);
    }
    // What the parser still takes but nobody writes.
    let forty = format!("[providers.openai]\noptions = {{ x = {}1{} }}", "[".repeat(40), "]".repeat(40));
    let world = World::new().user(forty);
    let problems = world.told();
    assert!(problems.len() == 1 && problems[0].contains("nested too deeply"), "{problems:?}");
}

#[test]
fn deep_and_odd_settings_of_an_editor_are_problems_not_panics() {
    let mut deep = serde_json::json!(1);
    for _ in 0..100 {
        deep = serde_json::json!({ "x": [deep] });
    }
    for settings in [
        deep.clone(),
        serde_json::json!({ "providers": { "openai": { "options": deep } } }),
        serde_json::json!([1, 2]),
        serde_json::json!("x"),
        serde_json::json!({ "agent": [] }),
        serde_json::json!({ "agent": { "max_steps": 18446744073709551615u64 } }),
        serde_json::json!({ "actions": [null, 3, {}] }),
        serde_json::json!({ "\u{1b}[31m": 1 }),
    ] {
        let world = World::new().init(settings.clone());
        let problems = world.told();
        assert!(!problems.is_empty(), "{settings:.60}");
        assert!(problems.iter().all(|problem| !problem.contains('\u{1b}')), "{problems:?}");
    }
}

#[test]
fn a_directory_or_a_file_nobody_may_read_is_a_problem_of_the_file() {
    let mut world = World::new();
    world.sources.user_file = Some(world.path(""));
    let problems = world.told();
    assert!(problems.len() == 1 && problems[0].contains("is not a regular file"), "{problems:?}");
}
