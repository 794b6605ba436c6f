//! The configuration in force over time: the last good state of each layer stays.

use std::sync::Arc;

use ropeway::config::ConfigStore;
use serde_json::json;

use super::World;

#[test]
fn a_file_with_a_mistake_changes_nothing_until_it_is_mended() {
    let world = World::new().user("[tools]\nmax_parallel = 5").project("[agent]\nmax_steps = 10");
    let store = ConfigStore::new(world.sources.clone());
    assert_eq!(store.current().agent.max_steps, 10);
    let kept = store.current();
    for broken in ["[agent]\nmax_steps = 0", "[agent", "[agent]\nmax_step = 3", "\u{0}", "a = 1\na = 2"] {
        world_user(&world, broken);
        let loaded = store.reload();
        assert!(!loaded.problems.is_empty(), "{broken}");
        let now = store.current();
        assert_eq!((now.agent.max_steps, now.tools.max_parallel), (10, 5), "{broken}");
    }
    // Another layer's change counts all the same.
    std::fs::write(world.path("ropeway.toml"), "[agent]\nmax_steps = 4").unwrap();
    assert_eq!(store.reload().config.agent.max_steps, 4);
    world_user(&world, "[agent]\nmax_steps = 5");
    let loaded = store.reload();
    assert!(loaded.problems.is_empty());
    assert_eq!(store.current().agent.max_steps, 4);
    assert_eq!(kept.agent.max_steps, 10, "a run keeps what it started with");
}

fn world_user(world: &World, text: &str) {
    std::fs::write(world.path("config.toml"), text).unwrap();
}

#[test]
fn a_file_that_goes_away_takes_its_settings_with_it() {
    let world = World::new().project("[agent]\nmax_steps = 10");
    let store = ConfigStore::new(world.sources.clone());
    std::fs::remove_file(world.path("ropeway.toml")).unwrap();
    assert_eq!(store.reload().config.agent.max_steps, 40);
}

#[test]
fn only_a_changed_file_is_read_again() {
    let world = World::new().user("[agent]\nmax_steps = 11");
    let store = ConfigStore::new(world.sources.clone());
    let before = store.current();
    assert!(store.refresh().is_none());
    assert!(Arc::ptr_eq(&before, &store.current()));
    world_user(&world, "[agent]\nmax_steps = 12 # longer");
    assert_eq!(store.refresh().unwrap().config.agent.max_steps, 12);
    assert!(store.refresh().is_none());
}

#[test]
fn the_editors_settings_and_the_sessions_model_take_effect_at_once() {
    let world = World::new().user("model = \"openai/a\"");
    let store = ConfigStore::new(world.sources);
    store.update(|sources| sources.client_settings = Some(json!({ "agent": { "max_steps": 3 } })));
    assert_eq!(store.current().agent.max_steps, 3);
    // A wrong value in the settings keeps the last good ones.
    let loaded = store.update(|sources| sources.client_settings = Some(json!({ "agent": { "max_steps": "x" } })));
    assert_eq!((loaded.config.agent.max_steps, loaded.problems.len()), (3, 1));
    store.update(|sources| sources.client_settings = None);
    assert_eq!(store.current().agent.max_steps, 40);
    store.update(|sources| sources.overrides.model = Some("anthropic/b".to_owned()));
    assert_eq!(store.current().model.as_ref().unwrap().to_string(), "anthropic/b");
}

#[test]
fn a_model_of_an_unknown_provider_does_not_replace_one_that_works() {
    let world = World::new().user("model = \"openai/a\"");
    let store = ConfigStore::new(world.sources.clone());
    world_user(&world, "model = \"opnai/a\"");
    let loaded = store.reload();
    assert_eq!(store.current().model.as_ref().unwrap().provider, "openai");
    assert!(loaded.problems.iter().any(|problem| problem.message.contains("did you mean `openai`?")));
}

#[test]
fn readers_never_see_a_torn_configuration() {
    let world = World::new();
    let store = ConfigStore::new(world.sources.clone());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 1..200 {
                let text = format!("[agent]\nmax_steps = {n}\n[tools]\nmax_parallel = {n}\n");
                std::fs::write(world.path("config.toml"), text).unwrap();
                store.reload();
            }
        });
        while !writer.is_finished() {
            let config = store.current();
            let pair = (config.agent.max_steps as usize, config.tools.max_parallel);
            assert!(pair.0 == pair.1 || pair == (40, 0), "{pair:?}");
        }
    });
    assert_eq!(store.current().agent.max_steps, 199);
}

#[test]
fn without_the_cache_the_same_is_in_force() {
    let play = |seconds: &str| {
        let world = World::new().project("").env("ROPEWAY_CONFIG_CACHE_TTL", seconds);
        let store = ConfigStore::new(world.sources.clone());
        let mut seen = Vec::new();
        for text in
            ["[agent]\nmax_steps = 3", "[agent]\nmax_steps = 3", "[agent", "# none", "[agent]\nmax_steps = 3", "a = 1"]
        {
            world_user(&world, text);
            for _ in 0..2 {
                store.reload();
                let (config, problems) = (store.current(), store.loaded().problems.len());
                seen.push((config.agent.max_steps, problems, store.of(&world.path("a.rs")).agent.max_steps));
            }
        }
        (seen, store.counters())
    };
    let (cached, uncached) = (play("300"), play("0"));
    assert_eq!(cached.0, uncached.0);
    assert!(cached.1.hits > 6 && cached.1.misses < 8 && cached.1.load_time.as_nanos() > 0, "{:?}", cached.1);
    assert_eq!((uncached.1.hits, uncached.1.entries), (0, 0), "{:?}", uncached.1);
    assert_eq!(uncached.1.loads, 13);
}
